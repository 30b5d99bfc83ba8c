package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// work is the CPU time that each request takes, beside what HTTP takes.
const work = 2500 * time.Microsecond

// serveBackend is a pod's process: it answers HTTP with its name after some work,
// one request at a time, since its node has one core. Arguments: address and name.
// It ends with its standard input.
func serveBackend(ctx context.Context, args []string, _ io.Writer) error {
	if len(args) != 2 {
		return errors.New("backend: expected an address and a name")
	}
	runtime.GOMAXPROCS(1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go untilStdinEnds(cancel)
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	listener, err := config.Listen(ctx, "tcp", args[0])
	if err != nil {
		return err
	}
	server := &http.Server{Handler: worker(args[1]), ReadHeaderTimeout: patience}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // the process ends
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// worker does not begin what nobody waits for any more.
func worker(name string) http.Handler {
	core := make(chan struct{}, 1)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case core <- struct{}{}:
		case <-r.Context().Done():
			return
		}
		defer func() { <-core }()
		if r.Context().Err() != nil {
			return
		}
		burn(work)
		_, _ = io.WriteString(w, name) // a client that left is no concern of ours
	})
}

// burn uses so much CPU time of its own thread, however long that takes.
func burn(d time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for until := threadTime() + d; threadTime() < until; {
		for range 1000 {
			runtime.KeepAlive(until)
		}
	}
}

func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0 // every kernel has this clock
	}
	return time.Duration(t.Nano())
}

// disturb is what else happens on a node: every five seconds or so, something takes
// the CPU time that the node has in half a second, beside the requests. Arguments: the CPUs of the node,
// and a seed. It ends with its standard input.
func disturb(ctx context.Context, args []string, _ io.Writer) error {
	if len(args) != 2 {
		return errors.New("neighbour: expected the CPUs of the node and a seed")
	}
	cpus, err := strconv.ParseFloat(args[0], 64)
	if err != nil {
		return fmt.Errorf("neighbour: %w", err)
	}
	seed, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil {
		return fmt.Errorf("neighbour: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go untilStdinEnds(cancel)
	random := rand.New(rand.NewPCG(seed, 2))
	for sleep(ctx, time.Duration(random.ExpFloat64()*float64(4*time.Second))) == nil {
		burn(time.Duration(cpus * float64(time.Second/2)))
	}
	return nil
}

// untilStdinEnds cancels when the parent is gone, however it went.
func untilStdinEnds(cancel context.CancelFunc) {
	_, _ = io.Copy(io.Discard, stdin()) // whatever ends it is the end
	cancel()
}
