// Package e2e tests weft as it runs on a node of a real cluster: a real
// kube-apiserver with RBAC on etcd, a real kube-proxy beside it in the node's
// namespace, the manifests of examples/kubernetes, kubectl, and real connections
// to pods.
//
// The scripts under testdata apply YAML with kubectl and look at what weft
// writes, what the kernel holds and where connections go; script_test.go lists
// what a script can do. Those under testdata/informers run twice: with etcd 3.7,
// where clients get their first list through the watch, and with Debian's etcd
// 3.4, where they list and then watch.
//
// `make controlplane` makes what the tests need, `make e2e` runs them.
package e2e
