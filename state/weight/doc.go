// Package weight turns what was measured into shares: for each ServicePort, how
// much of the new connections each endpoint should get.
//
// An [Engine] is a function of its inputs and of what it did before: it asks
// nobody and has no clock. It works in two loops of different speed.
//
// The slow loop ([Engine.Step] every 5 to 10 seconds) makes a target of factors
// that multiply: the base weight of a node's endpoints; a latency factor,
// (s0 + least)/(s0 + latency), where s0 is the time that a request takes anyway,
// so that a millisecond more on the way counts for what it is; and a trim. The
// trim is what would make a node as busy as the others. It acts only where a node
// is above a knee, since CPU use of a few percent is noise, and it compares CPU use
// with the shares of the time when it was measured, since those of now would make
// all agents swing together: samples through Prometheus are tens of seconds old.
// Shares then go towards the target, not further in one step than a limit, and
// not at all while the target is near enough.
//
// The fast loop, every second, is the guard: it looks at how long connections
// stay open on each node and cuts the share of one that stands out, within a
// second or two. It never gives a node more than the slow loop does. One whose
// endpoints refuse or ignore most connections falls below the floor, since those are
// lost and not late. Where connections are kept open, new ones are steered past a node
// that has too many of them: roughly while all are idle, for that is worth no rule, and
// exactly while one is busy.
//
// While no node is busy, what shares that are a little wrong cost is next to nothing.
// So differences that noise may have made move no rule then; how much noise there is, is
// learned from how estimates differ one from the next. Latencies differ on a noisy
// network or machine, too: a difference within two standard deviations, and within a tenth
// of s0, counts slowly, and any other at once. A node that was cut, or lost
// capacity, and is idle now goes back to what it usually took, the faster the clearer.
//
// A ServicePort of which nothing is new rests: its steps are left out, and while no
// connection comes nobody need ask the guard.
//
// Nothing here has a cliff: a node that is not measured gets the median of the
// others, most nodes not measured means that nobody is judged, and every
// node that serves keeps a floor. Numbers that are none (NaN, infinities,
// negative ones) count as not measured.
//
// Shares are kept as factors of the base weights, and not as such. So a pod that
// comes or goes changes the shares of the others in proportion, at once, without
// a target being looked for anew.
//
// # Where it fails
//
// An endpoint that answers errors at once looks like any other, unless probes read
// the answers (HTTP). Where half of the base weight or more gets slow at once the guard
// cuts nobody, since it cannot tell what is normal. After a node with connections that
// are kept open has lost half its capacity, equal shares are as good in the simulation
// as the engine with CPU use of peers, and a twelfth better on average than with that of
// Prometheus, which tells of it too late: what is open stays where it is.
package weight
