package flows

import (
	"net/netip"
	"testing"

	"github.com/ti-mo/conntrack"
	"github.com/ti-mo/netfilter"

	"weft/examples/lab/labtest"
)

// The kernel lists no more than what is asked for, since tables are large.
func TestFilter(t *testing.T) {
	ns := labtest.Scratch(t)
	to := func(port uint16) entry {
		return entry{netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port), netip.MustParseAddrPort("10.0.0.1:53")}
	}
	cases := []struct {
		name   string
		wanted map[entry]bool
		want   int
	}{
		{"one NodePort", map[entry]bool{to(30000): true}, 1},
		{"two NodePorts", map[entry]bool{to(30000): true, to(30002): true}, 2},
	}
	err := ns.Do(func() error {
		for _, protocol := range []uint8{6, 17} {
			for _, port := range []uint16{30000, 30001} {
				if err := create(protocol, port); err != nil {
					return err
				}
			}
		}
		for _, c := range cases {
			got, err := dump(t.Context(), netfilter.ProtoIPv4, filter(c.wanted))
			if err != nil {
				return err
			}
			if len(got) != c.want {
				t.Errorf("%s: %d entries listed, want %d of 4", c.name, len(got), c.want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func create(protocol uint8, port uint16) error {
	conn, err := conntrack.Dial(nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	f := conntrack.NewFlow(protocol, 0, netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("192.0.2.1"), 4000, port, 600, 0)
	if protocol == 6 {
		f.ProtoInfo.TCP = &conntrack.ProtoInfoTCP{State: 3}
	}
	return conn.Create(f)
}
