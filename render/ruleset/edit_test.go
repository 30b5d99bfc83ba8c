package ruleset

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const edited = `table ip weft {
	set ips {
		type ipv4_addr
		flags timeout
		elements = { 192.0.2.1 timeout 60s }
	}

	map ports {
		type inet_proto . inet_service : verdict
		elements = {
			tcp . 1 comment "one" : goto one,
			tcp . 2 : goto two,
		}
	}

	chain prerouting {
		type nat hook prerouting priority -150; policy accept;
		jump services
	}

	chain services {
		meta l4proto . th dport vmap @ports
	}

	chain one {
		accept
	}

	chain two {
		accept
	}
}
`

// TestEdited: what somebody edited is put right, by a transaction that names
// nothing else.
func TestEdited(t *testing.T) {
	rs, err := Parse(edited)
	if err != nil {
		t.Fatal(err)
	}
	in := func(e Edit) Edit {
		e.Family, e.Table = "ip", "weft"
		return e
	}
	tests := []struct {
		name  string
		edits []Edit
		want  []string
	}{
		{"nothing", nil, nil},
		{"rules of a chain", []Edit{in(Edit{Chain: "one"})}, []string{"flush chain ip weft one", "table ip weft {", "chain one {", "accept", "}", "}"}},
		{"rules of a base chain", []Edit{in(Edit{Chain: "prerouting"})}, []string{"flush chain ip weft prerouting", "table ip weft {", "chain prerouting {", "jump services", "}", "}"}},
		{
			"chain gone with its element",
			[]Edit{in(Edit{Set: "ports", Key: "tcp . 2", Gone: true}), in(Edit{Chain: "two", Gone: true})},
			[]string{"table ip weft {", "chain two {", "accept", "}", "}", "add element ip weft ports { tcp . 2 : goto two }"},
		},
		{"chain of somebody", []Edit{in(Edit{Chain: "stray"})}, []string{"flush chain ip weft stray", "delete chain ip weft stray"}},
		{"set of somebody", []Edit{in(Edit{Set: "stray"})}, []string{"delete set ip weft stray"}},
		{"map of somebody", []Edit{in(Edit{Set: "stray", Map: true})}, []string{"delete map ip weft stray"}},
		{"element gone", []Edit{in(Edit{Set: "ips", Key: "192.0.2.1", Gone: true})}, []string{"add element ip weft ips { 192.0.2.1 timeout 60s }"}},
		{
			"element elsewhere",
			[]Edit{in(Edit{Set: "ports", Key: "tcp . 1"})},
			[]string{"delete element ip weft ports { tcp . 1 }", `add element ip weft ports { tcp . 1 comment "one" : goto one }`},
		},
		{"element of somebody", []Edit{in(Edit{Set: "ports", Key: "udp . 9"})}, []string{"delete element ip weft ports { udp . 9 }"}},
		{"gone, whatever it was", []Edit{in(Edit{Chain: "stray", Gone: true}), in(Edit{Set: "stray", Gone: true}), in(Edit{Set: "ports", Key: "udp . 9", Gone: true})}, nil},
		{"another table", []Edit{{Family: "ip6", Table: "weft", Chain: "one"}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for line := range strings.Lines(Diff(rs.Edited(tt.edits), rs).Text()) {
				if line = strings.TrimSpace(line); line != "" {
					got = append(got, line)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("transaction (-want +got):\n%s", diff)
			}
		})
	}
	if diff := cmp.Diff(edited, rs.String()); diff != "" {
		t.Errorf("the ruleset itself changed:\n%s", diff)
	}
}
