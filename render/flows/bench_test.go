package flows

import (
	"net/netip"
	"testing"

	"github.com/ti-mo/conntrack"

	"weft/examples/lab/labtest"
	"weft/state"
)

// BenchmarkDelete looks for flows in a table with 40,000 others, half of them
// TCP: one NodePort, for which the kernel filters, and two, for which it lists
// all of UDP.
func BenchmarkDelete(b *testing.B) {
	ns := labtest.Scratch(b)
	if err := ns.Do(func() error { return fill(20000) }); err != nil {
		b.Fatal(err)
	}
	to := []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	one := []Flow{{state.UDP, to, 30000, netip.MustParseAddrPort("10.0.0.1:53")}}
	cases := []struct {
		name  string
		flows []Flow
	}{
		{"one NodePort", one},
		{"two NodePorts", append(one, Flow{state.UDP, to, 30001, one[0].Endpoint})},
	}
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			err := ns.Do(func() error {
				for b.Loop() {
					if _, err := Delete(b.Context(), c.flows); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}

// fill makes n entries of UDP and as many of TCP.
func fill(n int) error {
	conn, err := conntrack.Dial(nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	for i := range 2 * n {
		f := conntrack.NewFlow(17, 0, netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("192.0.2.9"), uint16(1024+i/2), 53, 600, 0)
		if i%2 == 1 {
			f.TupleOrig.Proto.Protocol, f.TupleReply.Proto.Protocol = 6, 6
			f.ProtoInfo.TCP = &conntrack.ProtoInfoTCP{State: 3}
		}
		if err := conn.Create(f); err != nil {
			return err
		}
	}
	return nil
}
