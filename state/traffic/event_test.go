package traffic

import (
	"context"
	"encoding/hex"
	"net/netip"
	"slices"
	"testing"
	"time"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/state"
)

// heard makes entries in a namespace and returns what the kernel tells about them.
func heard(t testing.TB, ns *lab.Namespace, limited bool, entries ...[]string) (told [][]byte) {
	t.Helper()
	var s *session
	err := ns.Do(func() (err error) { s, err = begin(); return err })
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if limited {
		if err := s.news.limit(30000, 30010); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range entries {
		if _, err := ns.Run("conntrack", append([]string{"-I", "-s", "10.34.4.100", "-d", "10.34.4.141", "-t", "600"}, e...)...); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.news.file.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for {
		if err := s.news.receive(func(b []byte) { told = append(told, append([]byte(nil), b...)) }); err != nil {
			return told
		}
	}
}

// translated is an entry that weft's rules would make.
func translated(port string) []string {
	return []string{"-p", "tcp", "--sport", "57494", "--dport", port, "--dst-nat", "10.42.1.10:8080", "--state", "ESTABLISHED"}
}

// The kernel's filter lets through what is wanted and nothing else, and what it lets
// through is read as it is.
func TestFilter(t *testing.T) {
	ns := labtest.Scratch(t)
	if err := ns.Load(rules(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddrPort("192.0.2.2:80"))); err != nil {
		t.Fatal(err)
	}
	entries := [][]string{
		translated("29999"), translated("30000"), translated("30010"), translated("30011"),
		{"-p", "udp", "--sport", "57494", "--dport", "30002", "--dst-nat", "10.42.1.10:53"},
		{"-p", "tcp", "--sport", "57494", "--dport", "30003", "--state", "ESTABLISHED"},
	}
	count := func(told [][]byte) (read int, ports []uint16) {
		for _, b := range told {
			if o, ok := readOpening(b); ok {
				read++
				ports = append(ports, o.to.Port())
			}
		}
		return read, ports
	}
	told := heard(t, ns, true, entries...)
	if read, ports := count(told); !slices.Equal(ports, []uint16{30000, 30010, 30002}) || read != len(told) {
		t.Errorf("with the filter: told %d, read %v, want 30000, 30010 and 30002 alone", len(told), ports)
	}
	if _, err := ns.Run("conntrack", "-F"); err != nil {
		t.Fatal(err)
	}
	told = heard(t, ns, false, entries...)
	if read, ports := count(told); read != 5 || len(told) != 6 {
		t.Errorf("without: told %d, read %v, want 6 and 5", len(told), ports)
	}
}

// An entry is found in the table by what the notification said, and one that is not
// there is known not to be.
func TestLook(t *testing.T) {
	ns := labtest.Scratch(t)
	if err := ns.Load(rules(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddrPort("192.0.2.2:80"))); err != nil {
		t.Fatal(err)
	}
	told := heard(t, ns, false, translated("30000"), translated("30001"))
	if len(told) != 2 {
		t.Fatalf("told %d times, want 2", len(told))
	}
	o := New(nil)
	var s *session
	if err := ns.Do(func() (err error) { s, err = begin(); return err }); err != nil {
		t.Fatal(err)
	}
	defer s.close()
	pod := netip.MustParseAddrPort("10.42.1.10:8080")
	o.tally.watch([]netip.Addr{netip.MustParseAddr("10.34.4.141")}, []*state.ServicePort{serving(tcp(30000), pod), serving(tcp(30001), pod)})
	for _, b := range told {
		opened, _ := readOpening(b)
		if !o.tally.open(opened, 0) {
			t.Fatalf("%+v is not followed", opened)
		}
	}
	if _, err := ns.Run("conntrack", "-D", "-p", "tcp", "--orig-port-dst", "30001"); err != nil {
		t.Fatal(err)
	}
	if err := o.look(s.table, o.tally.due(1, batch)); err != nil {
		t.Fatal(err)
	}
	for port, want := range map[NodePort]int{tcp(30000): 1, tcp(30001): 0} {
		c := o.tally.counts()[port][netip.MustParseAddrPort("10.42.1.10:8080")]
		if c.Young != want {
			t.Errorf("port %v: %+v, want %d open", port, c, want)
		}
	}
}

// recorded is what Linux 6.18 tells of a connection that was translated.
func recorded() []byte {
	b, _ := hex.DecodeString(
		"e8000000000100060000000031460000020000003400018014000180080001000a220464080002000a22048d1c000280050001000600000006000200e09600000600030075300000340002" +
			"8014000180080001000a2a010a080002000a2204641c0002800500010006000000060002001f900000060003002e85000008000c00c550463e08000300000001b808000700000002583000" +
			"04802c000180050001000300000005000200000000000500030000000000060004000a000000060005000a0000001c00188008000100000000000800020000000000080003000000000008" +
			"00080000000000")
	return b
}

func TestReadOpening(t *testing.T) {
	o, ok := readOpening(recorded())
	if !ok || o.protocol != state.TCP || o.to != netip.MustParseAddrPort("10.34.4.141:30000") || o.from != netip.MustParseAddrPort("10.42.1.10:8080") || o.entry.id != 0xc550463e {
		t.Errorf("read %+v, %v", o, ok)
	}
	if _, ok := readOpening(recorded()[:100]); ok {
		t.Error("half a notification is read")
	}
}

// Nothing that is sent makes it panic.
func FuzzRead(f *testing.F) {
	f.Add(recorded())
	f.Fuzz(func(_ *testing.T, b []byte) {
		o, _ := readOpening(b)
		_ = appendQuestion(nil, &o.entry, 1)
		for len(b) > 0 {
			var m message
			m, b = cut(b)
			_ = readSight(m.attrs)
		}
	})
}

// A session ends with its context, whatever it waits for.
func TestSessionEnds(t *testing.T) {
	ns := labtest.Scratch(t)
	if err := ns.Load(rules(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddrPort("192.0.2.2:80"))); err != nil {
		t.Fatal(err)
	}
	s, err := within(ns)()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- New(nil).run(ctx, s, func() {}) }()
	time.Sleep(20 * time.Millisecond)
	cancel()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on")
	}
}
