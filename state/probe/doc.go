// Package probe measures how long nodes take to answer, and whether they do.
//
// A [Monitor] makes a round for each node that matters every few seconds: up to three
// probes 50 ms apart, of which the round keeps one value. The first answer that took no
// longer than usual ends it, for it says what the others would ([Estimate.Usual]). An [Estimate] makes one
// latency out of the rounds: it follows slowly, takes over a jump that two rounds
// agree on, and declares a node unreachable after three rounds without an answer, of
// which the second and the third come a second after the one before.
// Estimates are pure; whatever talks to the network is a [Prober]:
//
//   - [Peer], the default, asks the agent on the node with a packet of UDP, and
//     hears how busy the node is in the same answer. It needs no right and
//     nothing but weft.
//   - [TCP] connects to an endpoint on the node.
//   - [HTTP] asks an endpoint for a page, so it sees the time that requests wait.
//   - [ICMP] pings the node.
//
// Peer and TCP go by when the kernels saw packets come and go, so that their times are
// those of the network alone: on a virtual machine, an agent that is woken for an answer
// reads it half a millisecond late, and no two times are the same.
//
// [Fallback] tries TCP for nodes that do not answer Peer, which may have no
// agent: without it they would seem to be down.
//
// # What it costs
//
// Only nodes with endpoints of steered ServicePorts are probed, and the own one:
// [Targets]. There are never more than 16 rounds under way, and from 200 nodes on
// the interval grows with their number ([Interval]), so an agent sends at most
// 120 probes a second, and less than half of that where answers are as usual:
//
//	nodes   interval   most probes/s sent   peer: packets/s in and out   peer: bytes/s each way
//	   10        5 s                    6                           24                   1,200
//	  200        5 s                  120                          480                  24,000
//	1,000       25 s                  120                          480                  24,000
//
// Measured on a virtual machine (BenchmarkAgent), 3.5, 42 and 117 probes a second take 9,
// 16 and 61 ms of processor time, signed, of the asker and of all who answer together. With
// three probes in each round it was 11, 37 and 66 ms there; of 1,000 nodes too few rounds
// were made for anything to be usual.
//
// A node with endpoints answers as many probes as it sends, if every node has
// an agent and endpoints: hence the factor of four. A probe of 72 bytes is a packet
// of 100 bytes with its headers of IPv4 and UDP.
//
// # Where the constants come from
//
// Up to three probes and their minimum (the median for HTTP, where a delay is what is
// measured) because the noise of scheduling only adds. The time constant of 30 s
// and the rule for jumps were chosen in a simulation of clusters: a plain moving
// average of 30 s is late by a minute after a change of routes, and one that
// trusts each round moves traffic on every hiccup. Answers of HTTP get the plain
// average, since they hold the time in a queue that the agents' own decisions
// fill and empty: a fast signal there makes all agents move at once and back.
package probe
