// Command scale measures what weft costs on a node, from one ServicePort to ten
// thousand, with the real kernel in network namespaces of its own: `make bench`
// runs it. Each figure stands beside its yardstick, taken in turn with it in the
// same run, so that what else the machine does falls on both; what counts is the
// ratio. It prints a table and draws the costs against the size.
//
// The yardsticks are what somebody without weft would run: bare nft with the same
// full text, bare nft with the smallest transaction that does the same, written by
// hand, kube-proxy's shape of the same rules, and one plain rule.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options say what is measured.
type options struct {
	weft   string
	sizes  []int
	sets   []string
	rounds int
	idle   time.Duration
	send   time.Duration
	out    string
	format string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil {
		err = measure(ctx, o, stdout, stderr)
	}
	if err != nil {
		fmt.Fprintln(stderr, "scale:", err)
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("scale", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.weft, "weft", "bin/weft", "the program")
	full := flags.Bool("full", false, "all sizes and more rounds: a quarter of an hour instead of three minutes")
	sizes := flags.String("sizes", "", "numbers of ServicePorts, separated by commas (default 1,100,2768, with -full 1,10,100,1000,2768,10000)")
	sets := flags.String("sets", "cascade,simplified", "template sets, separated by commas")
	flags.IntVar(&o.rounds, "rounds", 0, "how often each change is made (default 5, with -full 9)")
	flags.StringVar(&o.out, "out", "bin/scale", "folder for the table and the plots")
	flags.StringVar(&o.format, "format", "svg", "form of the plots: svg, png")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.idle, o.send = 5*time.Second, 300*time.Millisecond
	rounds, list := 5, "1,100,2768"
	if *full {
		rounds, list, o.idle, o.send = 9, "1,10,100,1000,2768,10000", 20*time.Second, time.Second
	}
	if o.rounds <= 0 {
		o.rounds = rounds
	}
	if *sizes != "" {
		list = *sizes
	}
	o.sets = strings.Split(*sets, ",")
	for _, s := range strings.Split(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxSize {
			return o, fmt.Errorf("flag -sizes: got %q, expected numbers from 1 to %d", s, maxSize)
		}
		o.sizes = append(o.sizes, n)
	}
	slices.Sort(o.sizes)
	return o, nil
}
