// Package traffic counts the connections that go through this node's NodePorts, by
// endpoint: how many are opened, how long they stay open, and how many endpoints
// refuse or ignore. The kernel's connection tracking knows it, so no probe is needed,
// and a node that loses its capacity is seen in a second or two: the guard of package
// weight works on it. Whether a NodePort had traffic at all is told by the same
// counts.
//
// It is a package of its own, since it is about this node's endpoints and not about
// nodes, as probes and CPU use are, and needs a right that they do not: CAP_NET_ADMIN.
// Where weft does not have it, as when its two halves run apart and the watcher has
// no capability at all, there are no counts, and the log says so. Nor are there where
// the kernel tracks no connections. Nothing else depends on them.
//
// # How
//
// The kernel tells of each connection that is opened, for nothing but the time to
// write a message. What becomes of it is looked up for a sample: at most 200 new
// connections a second of each NodePort, 5 ms after they began and then each time
// that their age has doubled, or half a second has passed, until they are closed, ten
// seconds old, or not accepted after three and a half. Those that grow older are kept
// open, of which only the number matters: 5,000 of them, chosen by chance where there
// are more, are looked at every few seconds. So each lasted as long as the
// ages say between which it was closed, within a half at worst, whether it took ten
// milliseconds or ten seconds. TCP alone is looked at: a UDP flow ends when nobody
// speaks any more, which tells nothing, so that UDP and SCTP are counted as they
// open and no more.
//
// # Why not otherwise
//
// Measured on a machine of two cores at 10,000 new connections a second of seven
// packets each (BenchmarkListening; the kernel's work on the packets of one
// connection is 15 µs without anybody listening), for each connection:
//
//	                              more work of the kernel    own work
//	new ones, and a sample                  6 µs               8 µs
//	every change of state                  16 µs              20 µs
//	the whole table each second             4 µs              10 µs at 29,000 entries
//	a counter in the rule                   3 µs               1 µs
//
// To hear of every change is exact, and makes the kernel write seven messages for each
// connection of the node, to a NodePort or not. The table holds each connection for
// two minutes after it was closed: at that rate 1,200,000 of them, of which 29,000 took
// 0.7 s to read, so that reading it costs most where there is most traffic, and it is
// not done within its second. A counter in weft's own rules would tell what was opened,
// but not what is open, failed or how long it lasted, and templates belong to their
// users.
package traffic
