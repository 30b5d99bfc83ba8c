// Package usage says how busy the CPUs of nodes are.
//
// [Local] reads the own node's from /proc/stat. Agents tell it to each other with
// the answers to their probes (package probe): it is at most two seconds old, and
// needs nothing but weft. That is the default.
//
// [Prometheus] asks a Prometheus that scrapes a node exporter on every node, one
// query for all of them. Its numbers are as old as its scrapes, 15 to 60 seconds,
// so shares follow them slowly; it is for clusters whose agents cannot reach each
// other, and for those who want another measure than CPU use (any PromQL that
// gives 0 to 1 for each node).
//
// # What is not known
//
// A ratio of 0 is an idle node. A node without a sample, or with one that is too
// old or makes no sense, has no CPU use at all, and weights take it for an average
// one: there is no number that stands for unknown. Prometheus answers a query
// for a node that is down for as long as the query's range reaches back, with the
// time of the query on it; so the time of the last sample itself is asked for.
package usage
