// Package main is weft's simulation: agents on several entry nodes spread requests
// over nodes of unequal speed, and the real engine of state/weight decides how,
// from measurements that are as late and as noisy as real ones.
//
// It answers which policy is stable and which is not, at what cost in rule
// changes, and what happens when a node loses its capacity, refuses connections
// or shares its CPU with others. It is a model, not a cluster: nodes are queues
// (first come, first served, one for all cores), requests have exponential service
// times, nothing is lost on the way. What it says of milliseconds holds for these
// queues alone, a single seed gives no confidence, and some constants of the
// engine were chosen in it. Treat gaps under a tenth as nothing.
//
// The same seed gives the same requests to every policy, down to how much work
// each one is, so that two rows differ by what the policy did.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
)

func main() {
	var o options
	flag.StringVar(&o.scenarios, "scenarios", "", "`names` to run, with commas between them; all if empty")
	flag.StringVar(&o.policies, "policies", "", "`names` to run; all if empty, but those with connections from a polled gauge")
	flag.IntVar(&o.seeds, "seeds", 2, "how many seeds to run and to average over")
	flag.Uint64Var(&o.seed, "seed", 1, "the first seed")
	flag.StringVar(&o.out, "out", "", "`folder` for plots; none if empty")
	flag.StringVar(&o.format, "format", "svg", "format of the plots: svg or png")
	flag.BoolVar(&o.list, "list", false, "list scenarios and policies")
	flag.Parse()
	debug.SetGCPercent(200) // what lives is little, and what dies is much
	if err := run(o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	scenarios, policies string
	seeds               int
	seed                uint64
	out, format         string
	list                bool
}

func choose[T any](all []T, name func(T) string, names string) ([]T, error) {
	if names == "" {
		return all, nil
	}
	var chosen []T
	for n := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(t T) bool { return name(t) == n })
		if i < 0 {
			return nil, fmt.Errorf("got %q, expected one of those that -list shows", n)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
