package flows

import (
	"net/netip"
	"testing"

	"github.com/ti-mo/conntrack"
)

// Each part of an entry has its say, also where the kernel did not filter.
func TestIsStale(t *testing.T) {
	wanted := map[entry]bool{
		{netip.MustParseAddrPort("192.0.2.1:30000"), netip.MustParseAddrPort("10.0.0.1:53")}: true,
		{netip.MustParseAddrPort("192.0.2.1:30002"), netip.MustParseAddrPort("10.0.0.2:53")}: true,
	}
	addr := netip.MustParseAddr
	cases := []struct {
		name   string
		change func(*conntrack.Flow)
		want   bool
	}{
		{"the flow", func(*conntrack.Flow) {}, true},
		{"another client", func(f *conntrack.Flow) { f.TupleOrig.IP.SourceAddress = addr("198.51.100.9") }, true},
		{"not masqueraded", func(f *conntrack.Flow) { f.TupleReply.IP.DestinationAddress = addr("198.51.100.1") }, true},
		{"TCP", func(f *conntrack.Flow) { f.TupleOrig.Proto.Protocol, f.TupleReply.Proto.Protocol = 6, 6 }, false},
		{"SCTP", func(f *conntrack.Flow) { f.TupleOrig.Proto.Protocol, f.TupleReply.Proto.Protocol = 132, 132 }, false},
		{"a zone", func(f *conntrack.Flow) { f.Zone = 1 }, false},
		{"a zone of one direction", func(f *conntrack.Flow) { f.TupleOrig.Zone = 1 }, false},
		{"a zone of the other direction", func(f *conntrack.Flow) { f.TupleReply.Zone = 1 }, false},
		{"another address of the node", func(f *conntrack.Flow) { f.TupleOrig.IP.DestinationAddress = addr("192.0.2.2") }, false},
		{"another NodePort", func(f *conntrack.Flow) { f.TupleOrig.Proto.DestinationPort = 30001 }, false},
		{"another NodePort, which lost another endpoint", func(f *conntrack.Flow) { f.TupleOrig.Proto.DestinationPort = 30002 }, false},
		{"another endpoint", func(f *conntrack.Flow) { f.TupleReply.IP.SourceAddress = addr("10.0.0.2") }, false},
		{"another port of the endpoint", func(f *conntrack.Flow) { f.TupleReply.Proto.SourcePort = 54 }, false},
	}
	for _, c := range cases {
		f := conntrack.NewFlow(17, conntrack.StatusDstNAT, addr("198.51.100.1"), addr("192.0.2.1"), 4000, 30000, 600, 0)
		f.TupleReply.IP = conntrack.IPTuple{SourceAddress: addr("10.0.0.1"), DestinationAddress: addr("192.0.2.1")}
		f.TupleReply.Proto.SourcePort = 53
		c.change(&f)
		if got := isStale(&f, wanted); got != c.want {
			t.Errorf("%s: stale is %v, want %v", c.name, got, c.want)
		}
	}
}
