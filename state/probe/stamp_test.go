package probe

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"weft/state"
)

// A packet that waits to be read arrived before, and says so.
func TestArrival(t *testing.T) {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const wait = 50 * ms
	read := func() (late time.Duration) {
		t.Helper()
		if _, err := conn.WriteToUDPAddrPort([]byte("weft"), netip.MustParseAddrPort(conn.LocalAddr().String())); err != nil {
			t.Fatal(err)
		}
		sent := time.Now()
		time.Sleep(wait)
		var buf, said [stampSize]byte
		_, n, _, _, err := conn.ReadMsgUDPAddrPort(buf[:], said[:])
		if err != nil {
			t.Fatal(err)
		}
		return arrival(said[:n], time.Now()).Sub(sent)
	}
	if late := read(); late < wait {
		t.Errorf("without stamps a packet arrived after %v, want when it was read", late)
	}
	if err := stamp(conn); err != nil {
		t.Fatal(err)
	}
	late := read()
	for end := time.Now().Add(5 * time.Second); late > wait/2 && time.Now().Before(end); { // the kernel begins soon
		late = read()
	}
	if late > wait/2 {
		t.Errorf("it arrived after %v, want at once", late)
	}
}

func TestArrivalIsBelieved(t *testing.T) {
	now := time.Now()
	word := func(wide bool, at time.Time) []byte {
		header := []byte{32, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 35, 0, 0, 0} // by <sys/socket.h>, 64 bits, little endian
		b := make([]byte, 16)
		if wide {
			putNative(b, uint64(at.Unix()), uint64(at.Nanosecond()))
			return append(header, b...)
		}
		header[0] = 24
		putNative(b[:8], uint64(at.Unix())|uint64(at.Nanosecond())<<32)
		return append(header, b[:8]...)
	}
	cases := []struct {
		name string
		said []byte
		late time.Duration
	}{
		{"nothing is said", nil, 0},
		{"at once", word(true, now), 0},
		{"3 ms ago", word(true, now.Add(-3*ms)), 3 * ms},
		{"3 ms ago, by a machine of 32 bits", word(false, now.Add(-3*ms)), 3 * ms},
		{"by a clock that was set back", word(true, now.Add(time.Hour)), 0},
		{"by a clock that was set", word(true, now.Add(-time.Hour)), 0},
		{"cut off", word(true, now.Add(-3*ms))[:20], 0},
	}
	for _, c := range cases {
		if late := now.Sub(arrival(c.said, now)); late != c.late {
			t.Errorf("%s: arrived %v ago, want %v", c.name, late, c.late)
		}
	}
}

// The time of a connection is the kernel's, which tells whole microseconds.
func TestRoundTrip(t *testing.T) {
	s := serve(t, 200, 0)
	start := time.Now()
	conn, err := dialer().DialContext(t.Context(), "tcp", s.addr().String())
	took := time.Since(start)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if seen := roundTrip(conn); seen <= 0 || seen > took {
		t.Errorf("the kernel saw an answer after %v, the agent after %v", seen, took)
	}
	for range 3 {
		round, err := TCP{5 * time.Second}.Round(t.Context(), Target{Node: "n", Endpoints: []netip.AddrPort{s.addr()}})
		if err != nil || round.Value%time.Microsecond != 0 {
			t.Errorf("round = %+v, %v, want the kernel's time", round, err)
		}
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if seen := roundTrip(a); seen != 0 {
		t.Errorf("what is no connection of TCP took %v", seen)
	}
}

// How long agents take, to answer or to read the answer, makes no node farther.
func TestAgentsTakeTheirTime(t *testing.T) {
	const wait = 50 * ms
	a := newAgents(t)
	one, _ := a.start(0, Options{})
	a.start(1, Options{Usage: func() (*state.CPU, int) { time.Sleep(wait); return nil, 0 }})
	if _, err := one.Round(t.Context(), a.target(1)); err != nil { // by when the kernel stamps
		t.Fatal(err)
	}
	begin := time.Now()
	round, err := one.Round(t.Context(), a.target(1))
	if took := time.Since(begin); err != nil || took < wait || round.Value > wait/2 {
		t.Errorf("round = %+v, %v after %v, want less than %v", round, err, took, wait/2)
	}
	for name, held := range map[string]time.Duration{"as long as it took": wait, "longer": 2 * wait} {
		if took := underWay(wait, held); took != wait {
			t.Errorf("held %s: %v, want %v, as nothing is believed", name, took, wait)
		}
	}
}

func putNative(b []byte, numbers ...uint64) {
	for i, n := range numbers {
		binary.NativeEndian.PutUint64(b[8*i:], n)
	}
}
