// Package main is weft's demo: it runs weft on a node of a small cluster that is
// made out of network namespaces, sends real connections through its NodePort
// and shows which endpoint answered them, before and after the weights change
// and after weft is killed.
//
// It is also a test of the whole: a split outside of what chance explains, or a
// connection that fails, makes it exit with 1.
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
	dir   string
	keep  bool
	down  bool
	child bool
}

// stage is the prefix of the demo's namespaces.
const stage = "weft-demo"

// errInterrupted tells that the user ended the demo.
var errInterrupted = errors.New("interrupted")

func main() {
	var o options
	flag.StringVar(&o.weft, "weft", "bin/weft", "the weft to `run`")
	flag.StringVar(&o.dir, "dir", "/run/"+stage, "`folder` for the demo's files; made and removed again")
	flag.BoolVar(&o.keep, "keep", false, "leave everything up to play with")
	flag.BoolVar(&o.down, "down", false, "take down what -keep left up")
	flag.BoolVar(&o.child, "child", false, "be the process that stays (used by -keep)")
	flag.Parse()

	// SIGPIPE too: a reader of our output that left must not leave namespaces.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	err := dispatch(ctx, o)
	stop()
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
		return takeDown(ctx, o.dir, os.Stdout)
	case o.keep && !o.child:
		return runInBackground(ctx)
	}
	return perform(ctx, o, os.Stdout)
}
