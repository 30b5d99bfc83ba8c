package verify_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weft/render/verify"
	"weft/state"
)

// TestLines: a NodePort has one line, however many findings.
func TestLines(t *testing.T) {
	at := func(name string, hook verify.Hook, address string) verify.Subject {
		s := verify.Subject{ServicePort: name, Protocol: state.TCP, NodePort: 30000, Address: netip.MustParseAddr(address), Hook: hook}
		s.Table, s.Chain, s.Handle = tables[0], "services", 7
		return s
	}
	through := func(s verify.Subject) verify.Difference {
		return verify.Difference{Subject: s, What: "packets fall through", Wanted: "100% a", Found: "100% falls through"}
	}
	r := &verify.Report{
		Proven: 3,
		Differs: []verify.Difference{
			through(at("ns/a", verify.Prerouting, "10.0.0.1")),
			through(at("ns/a", verify.Output, "10.0.0.1")),
			through(at("ns/a", verify.Prerouting, "10.0.0.2")),
			{Subject: at("ns/a", verify.Postrouting, "10.0.0.1"), What: "translated packets are not masqueraded"},
			{Subject: verify.Subject{Table: tables[0], Chain: "lost"}, What: "nothing reaches this chain"},
		},
		Unknown: []verify.Doubt{
			{Subject: at("ns/b", verify.Prerouting, "10.0.0.1"), Reason: "rt"},
			{Subject: at("ns/b", verify.Output, "10.0.0.1"), Reason: "rt"},
		},
	}
	want := []string{
		"ns/a tcp/30000 at 10.0.0.1, prerouting and output; at 10.0.0.2, prerouting (ip weft, chain services, rule 7): packets fall through; wanted 100% a; found 100% falls through; and 1 more findings",
		"(ip weft, chain lost): nothing reaches this chain",
		"ns/b tcp/30000 at 10.0.0.1, prerouting and output (ip weft, chain services, rule 7): cannot tell: rt",
	}
	if diff := cmp.Diff(want, r.Lines()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}
