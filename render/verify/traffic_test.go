package verify_test

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"testing"

	"weft/examples/lab/labtest"
	"weft/render/verify"
	"weft/state"
)

// connections is how many are made for each shape.
const connections = 3000

// TestDistributionIsThatOfConnections makes real connections to the node's own
// address, through the output hook, and compares who answered with what Trace
// computed.
func TestDistributionIsThatOfConnections(t *testing.T) {
	st := &state.State{Node: "here", Addresses: []netip.Addr{netip.MustParseAddr("10.34.4.141")}}
	sp := &state.ServicePort{Namespace: "riset", Name: "web", Protocol: state.TCP, NodePort: 30000}
	for i, share := range []float64{0.5, 0.3, 0.15, 0.05} {
		sp.Endpoints = append(sp.Endpoints, endpoint(fmt.Sprintf("10.42.0.%d", i+1), uint16(8080+i), "there", share))
	}
	st.ServicePorts = []*state.ServicePort{sp}
	tree := func(string, *state.ServicePort, []state.Endpoint) string {
		return "\t\tnumgen random mod 4 vmap { 0-2 : goto left, 3 : goto right }\n\t}\n" +
			"\tchain left {\n\t\tnumgen random mod 30 < 20 meta l4proto tcp dnat to 10.42.0.1:8080\n\t\tmeta l4proto tcp dnat to 10.42.0.2:8081\n\t}\n" +
			"\tchain right {\n\t\tnumgen inc mod 5 vmap { 0-2 : continue, 3 : return }\n\t\tnumgen random mod 2 offset 10 <= 10 meta l4proto tcp dnat to 10.42.0.3:8082\n\t\tmeta l4proto tcp dnat to 10.42.0.4:8083\n"
	}
	for name, s := range map[string]shape{"inline": inline, "cascade": cascade, "tree": tree} {
		t.Run(name, func(t *testing.T) {
			ns := labtest.Scratch(t)
			for _, a := range []string{"10.34.4.141/32", "10.42.0.1/32", "10.42.0.2/32", "10.42.0.3/32", "10.42.0.4/32"} {
				if _, err := ns.Run("ip", "addr", "add", a, "dev", "lo"); err != nil {
					t.Fatal(err)
				}
			}
			load(t, ns, ruleset(st, s, verify.MasqueradeAll))
			outcome, err := read(t, ns).Trace(verify.Output, verify.Packet{
				Protocol: state.TCP, Destination: netip.MustParseAddrPort("10.34.4.141:30000"), Local: true,
			})
			if err != nil || len(outcome.Classes) != 1 {
				t.Fatalf("outcome = %+v, %v, want one class", outcome, err)
			}
			counts := map[netip.AddrPort]int{}
			if err := ns.Do(func() error { return connect(counts, sp.Endpoints) }); err != nil {
				t.Fatal(err)
			}
			compare(t, outcome.Classes[0], counts)
		})
	}
}

// connect opens connections one after the other and counts who answered. A
// refused one, which fell through, counts for the zero AddrPort.
func connect(counts map[netip.AddrPort]int, endpoints []state.Endpoint) error {
	accepted := make(chan netip.AddrPort, len(endpoints))
	for _, e := range endpoints {
		l, err := net.Listen("tcp", e.AddrPort().String())
		if err != nil {
			return err
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				accepted <- e.AddrPort()
				_ = c.Close()
			}
		}()
	}
	for range connections {
		// the address is numeric and there is one, so the dial stays on this thread
		c, err := net.Dial("tcp", "10.34.4.141:30000")
		if err != nil {
			if oe := (*net.OpError)(nil); !errors.As(err, &oe) {
				return err
			}
			counts[netip.AddrPort{}]++
			continue
		}
		counts[<-accepted]++
		_ = c.Close()
	}
	return nil
}

// compare allows each count six standard deviations, and two connections more
// for counts near zero: chance exceeds that less than once in a million runs of
// all shapes together.
func compare(t *testing.T, class verify.Class, counts map[netip.AddrPort]int) {
	t.Helper()
	sum := 0.0
	for _, e := range class.Ends {
		p := e.Fraction.Float()
		sum += p
		want, got := p*connections, float64(counts[e.To])
		if d := 6*math.Sqrt(connections*p*(1-p)) + 2; math.Abs(got-want) > d {
			t.Errorf("%v got %v of %d connections, want %.0f ± %.0f", e.To, got, connections, want, d)
		}
		delete(counts, e.To)
	}
	if math.Abs(sum-1) > 1e-12 || len(counts) > 0 {
		t.Errorf("fractions sum to %v, connections elsewhere: %v", sum, counts)
	}
	t.Log(class)
}
