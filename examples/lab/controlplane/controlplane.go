// Package controlplane has the programs of a real Kubernetes control plane for
// the tests: kube-apiserver, kube-proxy, kubectl and etcd, as released.
//
// They are compiled from the Go module proxy, since that is what a machine that
// can build weft has for sure. The module files beside this package pin them:
// k8s.io/kubernetes is not made to be required, so that its module file replaces
// each staging module (k8s.io/api and so on) with its release; etcd has a module
// file of its own, since the two ask for different versions of the same modules.
//
// A compiled program is kept by version in a cache folder outside the tree, so
// that only the first run on a machine compiles (about ten minutes on two cores).
// A folder in the cache is complete: it gets its name when all its programs are
// there and have told the right version.
package controlplane

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Versions of what the module files pin; a test compares the two.
const (
	Kubernetes = "v1.37.2"
	Etcd       = "v3.7.3"
)

// ErrMissing tells that there is no compiled control plane on this machine.
var ErrMissing = errors.New("no control plane is compiled on this machine: run `make controlplane` once")

// Programs are the paths of the compiled programs.
type Programs struct {
	APIServer, KubeProxy, Kubectl, Etcd string
}

// Locate finds the compiled programs. The error is [ErrMissing] where
// [Compile] has yet to make them.
func Locate() (Programs, error) {
	cache, err := folder()
	if err != nil {
		return Programs{}, err
	}
	for _, r := range releases() {
		if _, err := os.Stat(r.folder(cache)); errors.Is(err, fs.ErrNotExist) {
			return Programs{}, ErrMissing
		} else if err != nil {
			return Programs{}, fmt.Errorf("find the control plane: %w", err)
		}
	}
	kubernetes, etcd := releases()[0].folder(cache), releases()[1].folder(cache)
	return Programs{
		APIServer: filepath.Join(kubernetes, "kube-apiserver"),
		KubeProxy: filepath.Join(kubernetes, "kube-proxy"),
		Kubectl:   filepath.Join(kubernetes, "kubectl"),
		Etcd:      filepath.Join(etcd, "etcd"),
	}, nil
}

// folder is the cache: weft/controlplane in $XDG_CACHE_HOME or ~/.cache.
func folder() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w", err)
	}
	return filepath.Join(cache, "weft", "controlplane"), nil
}

// release is what one module file makes.
type release struct {
	name, version string
	ldflags       string
	programs      []program
}

// program is a command of a release.
type program struct {
	name, pkg string
	// version is how to ask for its version, tells what the answer contains.
	version []string
	tells   string
}

func (r release) folder(cache string) string { return filepath.Join(cache, r.name+"-"+r.version) }

func releases() []release {
	return []release{
		{
			name: "kubernetes", version: Kubernetes, ldflags: kubernetesLdflags(),
			programs: []program{
				{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", []string{"--version"}, "Kubernetes " + Kubernetes},
				{"kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy", []string{"--version"}, "Kubernetes " + Kubernetes},
				{"kubectl", "k8s.io/kubernetes/cmd/kubectl", []string{"version", "--client"}, "Client Version: " + Kubernetes},
			},
		},
		{
			name: "etcd", version: Etcd, ldflags: "-s -w",
			programs: []program{{"etcd", "go.etcd.io/etcd/server/v3", []string{"--version"}, "etcd Version: " + Etcd[1:]}},
		},
	}
}

// kubernetesLdflags stamp the version into the programs, as Kubernetes' own build
// does: without it they call themselves v0.0.0-master.
func kubernetesLdflags() string {
	flags := "-s -w"
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, set := range []string{"gitVersion=" + Kubernetes, "gitMajor=1", "gitMinor=37", "gitTreeState=clean"} {
			flags += " -X " + pkg + "." + set
		}
	}
	return flags
}
