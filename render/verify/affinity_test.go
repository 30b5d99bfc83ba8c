package verify_test

import (
	"strings"
	"testing"

	"weft/examples/lab/labtest"
	"weft/render/verify"
	"weft/state"
)

// TestAffinity: what keeps a client with its endpoint is a hash of its address
// alone, whose seed does not change with the rule.
func TestAffinity(t *testing.T) {
	const chances = `jhash ip saddr mod 3 seed 7 < 1 meta l4proto tcp dnat to 10.42.4.1:80
		jhash ip saddr mod 3 seed 7 < 2 meta l4proto tcp dnat to 10.42.4.2:80
		meta l4proto tcp dnat to 10.42.4.3:80`
	tests := []struct {
		name, rules string
		keeps       bool
	}{
		{"map", "meta l4proto tcp dnat ip to jhash ip saddr mod 3 seed 7 map { 0 : 10.42.4.1 . 80, 1 : 10.42.4.2 . 80, 2 : 10.42.4.3 . 80 }", true},
		{"cascade", chances, true},
		{"tree", "jhash ip saddr mod 3 seed 7 < 2 goto branch\n\t\tmeta l4proto tcp dnat to 10.42.4.3:80\n\t}\n\tchain branch {\n\t\tjhash ip saddr mod 3 seed 7 < 1 meta l4proto tcp dnat to 10.42.4.1:80\n\t\tmeta l4proto tcp dnat to 10.42.4.2:80", true},
		{"random", "meta l4proto tcp dnat ip to numgen random mod 3 map { 0 : 10.42.4.1 . 80, 1 : 10.42.4.2 . 80, 2 : 10.42.4.3 . 80 }", false},
		{"partly random", "jhash ip saddr mod 3 seed 7 < 1 meta l4proto tcp dnat to 10.42.4.1:80\n\t\tnumgen random mod 2 < 1 meta l4proto tcp dnat to 10.42.4.2:80\n\t\tmeta l4proto tcp dnat to 10.42.4.3:80", false},
		{"of the connection", "meta l4proto tcp dnat ip to jhash ip saddr . tcp sport mod 3 seed 7 map { 0 : 10.42.4.1 . 80, 1 : 10.42.4.2 . 80, 2 : 10.42.4.3 . 80 }", false},
		{"of the kernel's seed", "meta l4proto tcp dnat ip to jhash ip saddr mod 3 map { 0 : 10.42.4.1 . 80, 1 : 10.42.4.2 . 80, 2 : 10.42.4.3 . 80 }", false},
		{"of the packet", "meta l4proto tcp dnat ip to symhash mod 3 map { 0 : 10.42.4.1 . 80, 1 : 10.42.4.2 . 80, 2 : 10.42.4.3 . 80 }", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ns := labtest.Scratch(t)
			hooks, _, _ := strings.Cut(frame, "\tchain endpoints {")
			load(t, ns, "table ip weft {\n"+hooks+"\tchain endpoints {\n\t\t"+tt.rules+"\n\t}\n\tchain services {\n\t\tip daddr 10.34.4.141 tcp dport 30000 goto endpoints\n\t}\n}\n")
			rs := read(t, ns)
			st := even(3)
			if r := verify.Check(rs, st, verify.Want{}); !r.OK() {
				t.Fatalf("without affinity: %v", r)
			}
			st.ServicePorts[0].Affinity = state.ClientIP
			r := verify.Check(rs, st, verify.Want{})
			if r.OK() != tt.keeps || !tt.keeps && !strings.Contains(r.String(), "a client does not keep its endpoint") {
				t.Errorf("report = %v, want affinity proven: %t", r, tt.keeps)
			}
		})
	}
}
