package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
)

// Far is a link between two namespaces that keeps every packet for a while, as a
// long way would: two TUN devices with a queue of packets between them. It does
// what tc's netem does, in kernels that have no netem, as precisely as this process
// is scheduled: some 100 µs late on a quiet machine.
type Far struct {
	delay   atomic.Int64
	cut     atomic.Bool
	ends    [2]*os.File
	moving  errgroup.Group
	packets [2]chan held
}

type held struct {
	data []byte
	due  time.Time
}

// farQueue is how many packets are under way in each direction at most; more are
// lost.
const farQueue = 1024

// Between connects a and b by devices of the same name with the two addresses,
// which share a network. delay is the time of one way.
func Between(a, b *Namespace, name string, addrA, addrB netip.Prefix, delay time.Duration) (*Far, error) {
	f := &Far{}
	f.SetDelay(delay)
	for i, end := range []struct {
		ns   *Namespace
		addr netip.Prefix
	}{{a, addrA}, {b, addrB}} {
		var err error
		if f.ends[i], err = tun(end.ns, name, end.addr); err != nil {
			return nil, errors.Join(fmt.Errorf("link %s: %w", name, err), f.close())
		}
		f.packets[i] = make(chan held, farQueue)
	}
	for i := range f.ends {
		f.moving.Go(func() error { return f.take(f.ends[i], f.packets[i]) })
		f.moving.Go(func() error { return f.give(f.packets[i], f.ends[1-i]) })
	}
	return f, nil
}

// tun makes a TUN device in a namespace. The device ends with its file.
func tun(ns *Namespace, name string, addr netip.Prefix) (*os.File, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	device := &netlink.Tuntap{
		LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TUN, NonPersist: true, Queues: 1,
		Flags: netlink.TUNTAP_NO_PI,
	}
	// The device is born where the thread is that opens it.
	if err := ns.Do(func() error { return netlink.LinkAdd(device) }); err != nil {
		return nil, fmt.Errorf("add TUN device: %w", err)
	}
	file := device.Fds[0]
	l, err := openLinks(ns)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	defer l.close()
	if err := l.configure(name, addr); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// take reads packets and says when they are due on the other side.
func (f *Far) take(from *os.File, packets chan<- held) error {
	defer close(packets)
	var buf [1 << 16]byte
	for {
		n, err := from.Read(buf[:])
		if err != nil {
			return unlessFileClosed(err)
		}
		if f.cut.Load() {
			continue
		}
		select {
		case packets <- held{append([]byte(nil), buf[:n]...), time.Now().Add(time.Duration(f.delay.Load()))}:
		default: // the queue is full
		}
	}
}

// give writes packets when they are due. A device that takes none loses them.
func (f *Far) give(packets <-chan held, to *os.File) error {
	for p := range packets {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.data); errors.Is(err, os.ErrClosed) {
			continue // until take has noticed too
		}
	}
	return nil
}

// SetDelay changes the time of one way, for packets that are sent from now on.
func (f *Far) SetDelay(d time.Duration) { f.delay.Store(int64(d)) }

// Cut loses all packets from now on, or none any more.
func (f *Far) Cut(cut bool) { f.cut.Store(cut) }

// Close takes the link away.
func (f *Far) Close() error { return errors.Join(f.close(), f.moving.Wait()) }

func (f *Far) close() error {
	var errs []error
	for _, end := range f.ends {
		if end != nil {
			errs = append(errs, end.Close())
		}
	}
	return errors.Join(errs...)
}

func unlessFileClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
