// Package main is weft's benchmark in a real kernel: real connections through real
// rules to nodes of unequal speed, with weft and without it at the same time.
//
// There are two clusters out of network namespaces, which are alike: four nodes with
// a pod each. In front of both is what stands in for kube-proxy, equal shares; in one
// of them every node runs weft, as it is shipped, with its defaults. Both get the same
// requests at the same moments (open loop: nobody waits for an answer before asking
// again), and the same happens to their nodes: noise, a node that loses most of its
// speed and gets it back, a node that dies and comes back.
//
// The two run at the same time, each with nodes of its own. One after the other would
// compare two different minutes of this machine; both on the same nodes would let the
// queues that one makes be waited in by the other.
//
// # What is real, and what is not
//
// Real: kernel, connections, conntrack, nft, weft's agents with their probes and
// guard; the limits of the nodes, which are cgroups with a quota of CPU time; a load
// generator (vegeta), that opens a connection for each request; response times are
// counted from when a request was due, not from when it was sent.
//
// Not real: a node is one namespace with one core that is slower than the machine's;
// the pod's process is in the cgroup, what the kernel does for the node's packets and
// weft itself are not, so weft is not slowed with its node. All namespaces share one
// /proc/stat, so each weft sees a copy of its own, made of the cgroup's CPU time as a
// part of its quota, as lxcfs makes one for a container. Links have no delay. Nobody
// takes a node that died out of the list of endpoints, as Kubernetes does after some
// 40 seconds: this shows the time until then. A request that fails counts as one that
// took as long as the client's patience, five seconds.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := dispatch(ctx, args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}

// dispatch is the benchmark, or one of the processes that it starts: it is its own
// backend, load generator and so on, since each must be inside of a namespace, and
// some inside of a cgroup.
func dispatch(ctx context.Context, args []string, stdout io.Writer) error {
	roles := map[string]func(context.Context, []string, io.Writer) error{
		roleBackend: serveBackend, roleNeighbour: disturb, roleLoad: generate, roleInside: inside,
	}
	if len(args) > 0 {
		if role := roles[args[0]]; role != nil {
			return role(ctx, args[1:], stdout)
		}
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	return measure(ctx, o, stdout)
}

// The processes that a benchmark consists of.
const (
	roleBackend   = "backend"
	roleNeighbour = "neighbour"
	roleLoad      = "load"
	roleInside    = "inside"
)

// options are the flags.
type options struct {
	weft, out, format string
	load, pace        float64
	seed              uint64
}

// paced is a time of the run as it is at another pace.
func (o options) paced(d time.Duration) time.Duration { return time.Duration(float64(d) / o.pace) }

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.weft, "weft", "bin/weft", "the weft to `run`")
	flags.StringVar(&o.out, "out", "", "`folder` for plots and what the agents logged; none if empty")
	flags.StringVar(&o.format, "format", "svg", "format of the plots: svg or png")
	flags.Float64Var(&o.load, "load", 0.55, "part of what all nodes can do together that is asked for, 0 to 1")
	flags.Float64Var(&o.pace, "pace", 1, "how many times as fast everything happens; the figures are those of 1")
	flags.Uint64Var(&o.seed, "seed", 1, "another seed is other requests and other noise")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("got the argument %q, expected none", flags.Arg(0))
	case !(o.load > 0 && o.load < 1):
		return o, fmt.Errorf("load: got %v, expected a number between 0 and 1", o.load)
	case !(o.pace >= 0.1 && o.pace <= 100):
		return o, fmt.Errorf("pace: got %v, expected a number from 0.1 to 100", o.pace)
	case o.format != "svg" && o.format != "png":
		return o, fmt.Errorf("format: got %q, expected svg or png", o.format)
	case os.Geteuid() != 0:
		return o, errors.New("not root, so neither namespaces nor cgroups can be made (try sudo)")
	}
	return o, nil
}
