package render_test

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
)

// wire is a node with a device on which packets arrive as fast as they are made:
// those to 10.34.4.141 that rules translate to 10.42.0.0/16 leave through another
// device, behind which there is nobody.
type wire struct {
	*lab.Namespace
	device int // where to send
}

func newWire(t testing.TB) *wire {
	t.Helper()
	w := &wire{Namespace: labtest.Scratch(t)}
	for _, command := range []string{
		"ip link add far address 02:00:00:00:00:01 type veth peer name near address 02:00:00:00:00:02",
		"ip addr add 10.34.4.141/24 dev near",
		"ip link set far up",
		"ip link set near up",
		"ip link add pods type veth peer name nobody",
		"ip link set pods arp off",
		"ip link set pods up",
		"ip link set nobody up",
		"ip route add 10.42.0.0/16 dev pods",
		"ip route add 10.99.0.0/16 dev near",
		"sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.near.rp_filter=0",
	} {
		args := strings.Fields(command)
		if out, err := w.Run(args[0], args[1:]...); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	out, err := w.Run("ip", "-o", "link", "show", "far")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(out), "%d:", &w.device); err != nil {
		t.Fatal(err)
	}
	return w
}

// connect sends the first packet of each of n UDP connections to nodePort 30000:
// number i, from first on, is of a client and a port of its own, as from says. It
// returns the processor time that this took, in which the rules were executed.
func (w *wire) connect(first, n int, from func(i int) (client, port uint16)) (took time.Duration, err error) {
	err = w.Do(func() error {
		runtime.LockOSThread()
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		to := unix.SockaddrLinklayer{Protocol: 0x0008, Ifindex: w.device, Halen: 6}
		frame := newFrame()
		start := threadTime()
		for i := first; i < first+n; i++ {
			frame.from(from(i))
			if err := unix.Sendto(fd, frame, 0, &to); err != nil {
				return err
			}
		}
		took = threadTime() - start
		return nil
	})
	return took, err
}

// apart gives each connection another client.
func apart(i int) (client, port uint16) { return uint16(i), uint16(1024 + i>>16) }

func threadTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// frame is an Ethernet frame with a UDP packet.
type frame []byte

func newFrame() frame {
	f := make(frame, 14+20+8+2)
	copy(f, []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0})
	ip := f[14:]
	ip[0], ip[3], ip[8], ip[9] = 0x45, 30, 64, unix.IPPROTO_UDP
	copy(ip[16:], []byte{10, 34, 4, 141})
	binary.BigEndian.PutUint16(ip[22:], 30000)
	binary.BigEndian.PutUint16(ip[24:], 10)
	return f
}

func (f frame) from(client, port uint16) {
	ip := f[14:]
	copy(ip[12:], []byte{10, 99, byte(client >> 8), byte(client)})
	binary.BigEndian.PutUint16(ip[20:], port)
	binary.BigEndian.PutUint16(ip[10:], 0)
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum))
}

// watch counts what is translated: by endpoint, and by client and endpoint.
const watch = `table ip watch {
	set endpoints { type ipv4_addr . inet_service; flags dynamic; size 65535; counter
	}
	set pairs { type ipv4_addr . ipv4_addr . inet_service; flags dynamic; size 65535; counter
	}
	chain forward { type filter hook forward priority 0; policy accept; meta l4proto udp update @endpoints { ip daddr . th dport } update @pairs { ip saddr . ip daddr . th dport }
	}
}
`

var countPattern = regexp.MustCompile(`([0-9.]+(?: \. [0-9.]+)+) counter packets (\d+)`)

// counts are those of one of the sets of watch.
func (w *wire) counts(t testing.TB, set string) map[string]int {
	t.Helper()
	out, err := w.Run("nft", "list", "set", "ip", "watch", set)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, m := range countPattern.FindAllStringSubmatch(string(out), -1) {
		n, _ := strconv.Atoi(m[2])
		counts[strings.ReplaceAll(m[1], " . ", ":")] += n
	}
	return counts
}
