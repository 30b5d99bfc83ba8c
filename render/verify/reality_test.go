package verify

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
)

const (
	sources       = 4
	realEndpoints = 4
	perSource     = 400
)

// TestReality sends real packets through random rulesets: for each source, the
// part of them that comes to each end is what a walk says.
func TestReality(t *testing.T) {
	rulesets := 30
	if n, err := strconv.Atoi(os.Getenv("WEFT_REALITY")); err == nil {
		rulesets = n // to search for what the fixed ones do not show
	}
	for _, hook := range []Hook{Output, Prerouting} {
		t.Run(hook.String(), func(t *testing.T) {
			told := 0
			for seed := range rulesets {
				w := &writer{Rand: rand.New(rand.NewPCG(uint64(seed), 7)), hook: hook}
				told += tried(t, hook, seed, w.table())
			}
			if told < rulesets*sources/2 {
				t.Errorf("%d of %d distributions could be told: the test shows little", told, rulesets*sources)
			}
		})
	}
}

// tried is one ruleset; it returns for how many sources the walk could tell.
func tried(t *testing.T, hook Hook, seed int, text string) (told int) {
	ns := labtest.Scratch(t)
	if err := ns.Load(text); err != nil {
		t.Fatalf("seed %d: %v\n%s", seed, err, text)
	}
	rs, err := Read(context.Background(), ns.FD(), []TableID{{Family: IPv4, Name: "weft"}})
	if err != nil {
		t.Fatal(err)
	}
	client := ns
	if hook == Prerouting {
		client = neighbour(t, ns)
	}
	got, err := send(client, ns)
	if err != nil {
		t.Fatal(err)
	}
	for i := range sources {
		want, ok := predicted(rs, hook, i)
		if !ok {
			continue
		}
		told++
		for end := range union(want, got[i]) {
			p, n := want[end], float64(got[i][end])
			if d := 6*math.Sqrt(perSource*p*(1-p)) + 3; math.Abs(n-p*perSource) > d {
				t.Errorf("seed %d: %v of %d packets of source %d end at %s, want %.1f ± %.1f\n%s", seed, n, perSource, i+1, end, p*perSource, d, text)
			}
		}
	}
	return told
}

func union(a map[string]float64, b map[string]int) map[string]bool {
	all := map[string]bool{}
	for k := range a {
		all[k] = true
	}
	for k := range b {
		all[k] = true
	}
	return all
}

// predicted is the distribution of a source's packets; false if it cannot be told.
func predicted(rs *Ruleset, hook Hook, source int) (map[string]float64, bool) {
	w := &walker{}
	zero := make([]byte, 4)
	nodePort, source4 := netip.MustParseAddr("10.34.4.141"), netip.AddrFrom4([4]byte{10, 9, 0, byte(source + 1)})
	w.ask(rs, question{
		hook: hook, local: true, proto: only(small(17)), saddr: addresses(source4),
		daddr: addresses(nodePort), dport: ports(30000), origDaddr: addresses(nodePort), origDport: ports(30000),
		mark: zero, ctMark: zero,
	})
	classes := w.classes()
	if len(classes) != 1 {
		return nil, false
	}
	ends := map[string]float64{}
	for _, e := range classes[0].Ends {
		to := "10.34.4.141:30000"
		switch e.Kind {
		case Unknown:
			return nil, false
		case Translated:
			to = e.To.String()
		case Dropped:
			to = "dropped"
		}
		ends[to] += e.Fraction.Float()
	}
	return ends, true
}

// neighbour is a client's namespace, linked to the node's.
func neighbour(t *testing.T, node *lab.Namespace) *lab.Namespace {
	t.Helper()
	client := labtest.Scratch(t)
	for _, c := range []struct {
		in   *lab.Namespace
		args string
	}{
		{node, fmt.Sprintf("link add node address 02:00:00:00:00:01 type veth peer name client address 02:00:00:00:00:02 netns /proc/%d/fd/%d", os.Getpid(), client.FD())},
		{node, "link set node up"},
		{node, "addr add 10.8.0.1/24 dev node"},
		{node, "route add 10.9.0.0/24 dev node"},
		{client, "link set client up"},
		{client, "addr add 10.8.0.2/24 dev client"},
		{client, "route add default via 10.8.0.1"},
		{client, "neigh add 10.8.0.1 lladdr 02:00:00:00:00:01 dev client nud permanent"},
	} {
		if _, err := c.in.Run("ip", strings.Fields(c.args)...); err != nil {
			t.Fatal(err)
		}
	}
	up(t, node, "node")
	up(t, client, "client")
	return client
}

// up waits for a link: until then what is sent is dropped.
func up(t *testing.T, ns *lab.Namespace, link string) {
	t.Helper()
	for range 1000 {
		out, err := ns.Run("ip", "-o", "link", "show", link)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(out), "state UP") {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("link does not come up: ", link)
}

// send sends packets of each source, each as a connection of its own, and counts
// where they arrive.
func send(client, node *lab.Namespace) (counts [sources]map[string]int, err error) {
	var r receivers
	if err := node.Do(func() (err error) {
		r, err = listenAll(node)
		return err
	}); err != nil {
		return counts, err
	}
	defer r.close()
	for i := range sources {
		if _, err := client.Run("ip", "addr", "add", fmt.Sprintf("10.9.0.%d/32", i+1), "dev", "lo"); err != nil {
			return counts, err
		}
	}
	err = client.Do(func() error {
		for i := range sources {
			for k := range perSource {
				if err := sendOne(byte(i), 10000+k); err != nil {
					return err
				}
			}
		}
		return nil
	})
	for i := range counts {
		counts[i] = map[string]int{}
	}
	arrived := r.collect(&counts)
	for i := range counts {
		counts[i]["dropped"] = perSource - arrived[i]
	}
	return counts, err
}

// collect counts until all packets are there, or no more came for a while.
func (r receivers) collect(counts *[sources]map[string]int) (arrived [sources]int) {
	const patience = 10
	for idle := 0; idle < patience; idle++ {
		n := 0
		for name, fd := range r {
			buf := make([]byte, 16)
			for {
				if _, _, err := unix.Recvfrom(fd, buf, 0); err != nil {
					break
				}
				counts[buf[0]][name]++
				arrived[buf[0]]++
				n++
			}
		}
		if arrived == [sources]int{perSource, perSource, perSource, perSource} {
			break
		}
		if n > 0 {
			idle = 0
		}
		time.Sleep(5 * time.Millisecond)
	}
	return arrived
}

// receivers are the sockets of the NodePort and of all endpoints.
type receivers map[string]int

func listenAll(ns *lab.Namespace) (receivers, error) {
	r := receivers{}
	listen := func(address string, ports ...int) error {
		if _, err := ns.Run("ip", "addr", "add", address+"/32", "dev", "lo"); err != nil {
			return err
		}
		for _, port := range ports {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			r[fmt.Sprintf("%s:%d", address, port)] = fd
			at := &unix.SockaddrInet4{Port: port, Addr: netip.MustParseAddr(address).As4()}
			if err := errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20), unix.Bind(fd, at)); err != nil {
				return err
			}
		}
		return nil
	}
	err := listen("10.34.4.141", 30000)
	for i := range realEndpoints {
		err = errors.Join(err, listen(fmt.Sprintf("10.42.0.%d", i+1), 80, 81, 30000))
	}
	return r, err
}

func (r receivers) close() {
	for _, fd := range r {
		_ = unix.Close(fd)
	}
}

func sendOne(source byte, port int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{10, 9, 0, source + 1}}); err != nil {
		return err
	}
	err = unix.Sendto(fd, []byte{source}, 0, &unix.SockaddrInet4{Port: 30000, Addr: [4]byte{10, 34, 4, 141}})
	if errors.Is(err, unix.EPERM) { // dropped
		return nil
	}
	return err
}
