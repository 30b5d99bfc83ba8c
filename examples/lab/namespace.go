// Package lab builds small networks out of network namespaces, so that the demo
// and the tests send real packets through real rules.
//
// Everything happens in namespaces that the lab made: the machine's own network
// and its ruleset are never touched. A namespace without a name lives as long
// as the process holds it open, so a crash leaves nothing behind; one with a
// name (see [Named]) shows up in `ip netns` and must be closed.
package lab

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/vishvananda/netns"
)

// Namespace is a network namespace.
type Namespace struct {
	// Name is what `ip netns` lists, or empty.
	Name     string
	handle   netns.NsHandle
	borrowed bool          // its name is not ours to take away
	flows    atomic.Uint32 // UDP flows that [Count] and [Watch] opened from here
}

// New makes a namespace without a name.
func New() (*Namespace, error) { return open("", netns.New) }

// Named makes a namespace that `ip netns exec NAME` can enter. A name that is
// taken is an error.
func Named(name string) (*Namespace, error) {
	return open(name, func() (netns.NsHandle, error) { return netns.NewNamed(name) })
}

// Existing opens a namespace that [Named] made, perhaps in another process. Its
// Close leaves the namespace as it is.
func Existing(name string) (*Namespace, error) {
	handle, err := netns.GetFromName(name)
	if err != nil {
		return nil, fmt.Errorf("open network namespace %q: %w", name, err)
	}
	return &Namespace{Name: name, handle: handle, borrowed: true}, nil
}

// open runs create, which moves the calling thread into the namespace that it
// makes, on a thread that ends with it.
func open(name string, create func() (netns.NsHandle, error)) (*Namespace, error) {
	ns := &Namespace{Name: name}
	err := onThread(func() error {
		var err error
		ns.handle, err = create()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make network namespace %q: %w", name, err)
	}
	return ns, nil
}

// Do runs f inside the namespace, on a thread of its own. Sockets that f opens
// and processes that f starts stay in the namespace; goroutines that f starts
// do not enter it.
func (ns *Namespace) Do(f func() error) error {
	return onThread(func() error {
		if err := netns.Set(ns.handle); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		return f()
	})
}

// Run runs a command inside the namespace. The error of a command that fails
// holds what it wrote to standard error.
func (ns *Namespace) Run(name string, args ...string) ([]byte, error) {
	var out []byte
	err := ns.Do(func() error {
		var err error
		out, err = exec.Command(name, args...).Output()
		return err
	})
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s %q: %w: %s", name, args, err, exit.Stderr)
	}
	return out, err
}

// Start starts a command inside the namespace; Wait is the caller's.
func (ns *Namespace) Start(cmd *exec.Cmd) error { return ns.Do(cmd.Start) }

// Load gives text to `nft -f` inside the namespace.
func (ns *Namespace) Load(text string) error {
	return ns.Do(func() error {
		cmd := exec.Command("nft", "-f", "-")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("nft -f: %w: %s", err, out)
		}
		return nil
	})
}

// FD is the namespace's file descriptor, for libraries that enter it themselves.
func (ns *Namespace) FD() int { return int(ns.handle) }

// Close lets go of the namespace and takes its name away. The kernel ends it
// with the last process and socket inside.
func (ns *Namespace) Close() error {
	err := ns.handle.Close()
	if ns.Name != "" && !ns.borrowed {
		err = errors.Join(err, netns.DeleteNamed(ns.Name))
	}
	return err
}

// onThread runs f on an operating system thread that is thrown away afterwards:
// a thread that changed its namespace must never serve another goroutine.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- f()
	}()
	return <-done
}
