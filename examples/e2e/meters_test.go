package e2e

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"weft/examples/lab/cluster"
)

// resident is the memory of a process in MB.
func resident(b testing.TB, p *cluster.Process) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid))
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		b.Fatal(err)
	}
	return kb / 1000
}

// used is the CPU time of a process and of its children that ended: proc(5),
// fields 14 to 17 of stat, in hundredths of a second.
func used(b testing.TB, p *cluster.Process) (sum time.Duration) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
	for _, field := range fields[11:15] {
		ticks, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(ticks) * 10 * time.Millisecond
	}
	return sum
}

// commits hears of kube-proxy's transactions.
type commits struct{ heard chan commit }

type commit struct {
	chain string
	at    time.Time
}

// listen subscribes to what the kernel of node1 tells of nf_tables. For a Service
// that changed kube-proxy writes the chain with its name anew.
func (r *race) listen() *commits {
	c := &commits{heard: make(chan commit, 1<<16)}
	var conn *netlink.Conn
	err := r.Node().Do(func() (err error) {
		conn, err = netlink.Dial(unix.NETLINK_NETFILTER, nil)
		return err
	})
	if err == nil {
		err = errors.Join(conn.SetReadBuffer(64<<20), conn.JoinGroup(unix.NFNLGRP_NFTABLES))
	}
	if err != nil {
		r.b.Fatal(err)
	}
	r.b.Cleanup(func() { conn.Close() })
	go func() {
		for {
			messages, err := conn.Receive()
			if err != nil {
				return
			}
			for _, m := range messages {
				if m.Header.Type == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWCHAIN {
					c.heard <- commit{string(m.Data), time.Now()}
				}
			}
		}
	}()
	return c
}

// await is when a chain was written after a time. A commit before the API
// server's answer, which can arrive later than the event of the watch, counts
// from what it is: hardly any time.
func (c *commits) await(b testing.TB, chain string, after time.Time) time.Time {
	timeout := time.After(time.Minute)
	for {
		select {
		case heard := <-c.heard:
			if strings.Contains(heard.chain, "kube-proxy") && strings.Contains(heard.chain, chain) && heard.at.After(after.Add(-time.Second)) {
				return heard.at
			}
		case <-timeout:
			b.Fatalf("kube-proxy has no chain for %s", chain)
		}
	}
}
