package main

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"weft/examples/lab"
)

// dropping ends each packet before conntrack takes its flow in, so that every
// one is the first of a connection and goes through the nat chains.
const dropping = `table ip dropping {
	chain postrouting {
		type filter hook postrouting priority 0; policy accept;
		meta l4proto udp drop
	}
}
`

// routed makes a namespace where packets to the node and to all endpoints stay on
// the loopback.
func routed() (*lab.Namespace, error) {
	ns, err := lab.New()
	if err != nil {
		return nil, err
	}
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"addr", "add", node + "/32", "dev", "lo"},
		{"route", "add", "local", "10.0.0.0/8", "dev", "lo"},
	} {
		if _, err := ns.Run("ip", args...); err != nil {
			return nil, errors.Join(err, ns.Close())
		}
	}
	if err := ns.Load(dropping); err != nil {
		return nil, errors.Join(err, ns.Close())
	}
	return ns, nil
}

// firstPackets sends first packets of connections to a port for some time, and
// says how long one takes.
func firstPackets(ctx context.Context, ns *lab.Namespace, port int, d time.Duration) (time.Duration, error) {
	var each time.Duration
	err := ns.Do(func() error {
		conn, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.ParseIP(node), Port: port})
		if err != nil {
			return err
		}
		defer conn.Close()
		raw, err := conn.SyscallConn()
		if err != nil {
			return err
		}
		n, start := 0, time.Now()
		err = raw.Control(func(fd uintptr) {
			for ; time.Since(start) < d && ctx.Err() == nil; n += 100 {
				for range 100 {
					_, _ = syscall.Write(int(fd), []byte("x")) // EPERM: it was dropped
				}
			}
		})
		each = time.Since(start) / time.Duration(max(n, 1))
		return err
	})
	return each, err
}
