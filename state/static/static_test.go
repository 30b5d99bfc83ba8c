package static_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/google/go-cmp/cmp"

	"weft/state"
	"weft/state/static"
	"weft/state/strict"
)

func decode(t *testing.T, text string) static.Config {
	t.Helper()
	var c static.Config
	if err := strict.Decode("weft.yaml", 1, []byte(text), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

const config = `
addresses: [10.0.0.1, "fd00::1"]
nodes:
- {name: b, address: 10.0.0.3}
- {name: a, address: 10.0.0.2}
services:
- name: web
  nodePort: 30000
  endpoints:
  - {address: "fd00::22", port: 8080, node: b}
  - {address: 10.1.0.3, port: 8080, node: b, weight: 3}
  - {address: 10.1.0.2, port: 8080, node: a}
  - {address: 10.1.0.4, port: 8080, node: a, weight: 0}
- name: dns
  namespace: infra
  port: dns
  protocol: udp
  nodePort: 30053
  endpoints:
  - {address: 10.1.0.2, port: 53, weight: 0}
- name: gone
  nodePort: 30001
- name: half
  nodePort: 30002
  policy: equal
  endpoints:
  - {address: 10.1.0.9, port: 1}
  - {address: "fd00::9", port: 1, weight: 0}
`

func TestState(t *testing.T) {
	s, err := decode(t, config).State("me")
	if err != nil {
		t.Fatal(err)
	}
	data, err := state.Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join("testdata", "state.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(data)); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}

// Everything wrong is said at once, by the paths of the config.
func TestStateErrors(t *testing.T) {
	c := decode(t, `
addresses: [10.0.0.1, 0.0.0.0]
nodes:
- {name: B_, address: 10.0.0.3}
services:
- name: web
  nodePort: 30000
  policy: fastest
  endpoints:
  - {address: 10.1.0.3, port: 8080}
  - {address: "fd00::22", port: 8080}
  - {address: 10.1.0.3, port: 8080, weight: 2}
- name: web
  protocol: icmp
  nodePort: 30000
- name: web2
  nodePort: 30000
`)
	nan := -1.0
	c.Services[0].Endpoints[0].Weight = &nan
	_, err := c.State("me")
	want := strings.TrimSpace(`
addresses[1]: got 0.0.0.0, expected a unicast address without a zone, IPv4 not written as IPv6
nodes[0].name: got "B_", expected a DNS name: lower case letters, digits, - and ., at most 253 characters, each part beginning and ending with a letter or digit
services[0].policy: got "fastest", expected latency-cpu, latency, cpu, local, static or equal
services[0].endpoints[0].weight: got -1, expected a number of at least 0, or no weight at all, which is 1
services[0].endpoints[2]: got 10.1.0.3:8080 again, it is endpoints[0] too
services[1].protocol: got "icmp", expected tcp, udp or sctp
services[0].endpoints[1].address: got fd00::22, but addresses has no IPv6 address that could take its traffic
services[2].nodePort: got 30000/tcp, which default/web at services[0] has already`)
	if err == nil || err.Error() != want {
		t.Errorf("(-want +got):\n%s", cmp.Diff(want, err.Error()))
	}
}

// Any weights make a state that Validate takes.
func TestWeights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.Float64Range(0, 1.7e308), 0, 20).Draw(t, "weights")
		c := static.Config{Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}
		service := static.Service{Name: "web", NodePort: 30000}
		for i := range weights {
			service.Endpoints = append(service.Endpoints, static.Endpoint{
				Address: netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}), Port: 80, Weight: &weights[i],
			})
		}
		c.Services = []static.Service{service}
		s, err := c.State("me")
		if err != nil {
			t.Fatal(err)
		}
		if err := state.Validate(s); err != nil {
			t.Fatal(err)
		}
	})
}
