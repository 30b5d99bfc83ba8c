// Package main is weft's demo: it runs weft on a node of a small cluster that is
// made out of network namespaces, sends real connections through its NodePort
// and shows which endpoint answered them, before and after the weights change
// and after weft is killed.
//
// It is also a test of the whole: a split outside of what chance explains, or a
// connection that fails, makes it exit with 1. An interrupted demo exits with 130.
//
// One process owns all there is (namespaces, backends, weft) and takes it down
// when it ends, however it is ended. Where the demo should stay up (-keep), that
// process is a child in the background; a lock that it holds in the demo's folder
// tells a later call whether it is still there, since a process id may be
// somebody else's by then.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// options are the flags.
type options struct {
	weft  string
	keep  bool
	down  bool
	child bool
	ask   int
}

// stage is the prefix of the demo's namespaces, folder holds its files. There is
// one demo at a time on a machine.
const (
	stage  = "weft-demo"
	folder = "/run/" + stage
)

// errInterrupted tells that the user ended the demo.
var errInterrupted = errors.New("interrupted")

func main() {
	var o options
	flag.StringVar(&o.weft, "weft", "bin/weft", "the weft to `run`")
	flag.BoolVar(&o.keep, "keep", false, "leave everything up to play with")
	flag.BoolVar(&o.down, "down", false, "take down what -keep left up")
	flag.IntVar(&o.ask, "ask", 0, "open `N` connections through the NodePort of a demo that is up")
	flag.BoolVar(&o.child, "child", false, "be the process that stays (used by -keep)")
	flag.Parse()

	// SIGPIPE too: a reader of our output that left must not leave namespaces.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	err := dispatch(ctx, o)
	stop()
	if errors.Is(err, errInterrupted) {
		os.Exit(130) // as a shell says of a program that SIGINT ended
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// dispatch chooses what to do. Without root there is nothing that it can.
func dispatch(ctx context.Context, o options) error {
	switch {
	case os.Geteuid() != 0:
		return errors.New("not root, so no network namespaces could be made (try sudo make demo)")
	case o.down:
		return takeDown(ctx, folder, os.Stdout)
	case o.ask > 0:
		return ask(ctx, o.ask, os.Stdout)
	case o.keep && !o.child:
		return runInBackground(ctx)
	case o.child:
		keepToSelf()
	}
	return perform(ctx, o, os.Stdout)
}
