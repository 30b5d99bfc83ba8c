package e2e

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"weft/state"
)

// ports waits until the ServicePorts in state.yaml are those of a file, one a
// line, and until the kernel has elements for those that are steered and for no
// others:
//
//	default/web:http tcp/30080 10.42.1.10:8080@node1=0.5 10.42.2.10:8080@node2=0.5
//	default/bad:http tcp/30081: no endpoint serves
func (s *stage) ports(ts *testscript.TestScript, _ bool, args []string) {
	want := strings.Split(strings.TrimSpace(ts.ReadFile(args[0])), "\n")
	if want[0] == "" {
		want = nil
	}
	var diff string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		st, err := readState(ts.MkAbs("state.yaml"))
		if err != nil {
			diff = err.Error()
			continue
		}
		if diff = cmp.Diff(want, lines(st)); diff != "" {
			diff = "state.yaml: -want +got\n" + diff
			continue
		}
		if diff = cmp.Diff(nodePorts(st), s.elements()); diff == "" {
			return
		}
		diff = "service-nodeports: -state +kernel\n" + diff
	}
	ts.Fatalf("%s", diff)
}

func readState(path string) (*state.State, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return state.Decode(path, data)
}

func lines(st *state.State) (lines []string) {
	for _, p := range st.ServicePorts {
		line := fmt.Sprintf("%s %s/%d", p.ID(), p.Protocol, p.NodePort)
		if !p.Steered() {
			lines = append(lines, line+": "+p.Skipped)
			continue
		}
		for _, e := range p.Endpoints {
			line += fmt.Sprintf(" %s@%s=%.3g", e.AddrPort(), e.Node, e.Share)
		}
		lines = append(lines, line)
	}
	return lines
}

// nodePorts are what the kernel should have elements for, by table family.
func nodePorts(st *state.State) []string {
	found := map[string]bool{}
	for _, p := range st.ServicePorts {
		for _, e := range p.Endpoints {
			table := "ip"
			if e.Address.Is6() {
				table = "ip6"
			}
			found[fmt.Sprintf("%s %s . %d", table, p.Protocol, p.NodePort)] = p.Steered()
		}
	}
	maps.DeleteFunc(found, func(_ string, steered bool) bool { return !steered })
	return slices.Sorted(maps.Keys(found))
}

var element = regexp.MustCompile(`(tcp|udp|sctp) \. \d+`)

// elements are what the kernel of node1 has. A table that is not there has none.
func (s *stage) elements() []string {
	found := map[string]bool{}
	for _, table := range []string{"ip", "ip6"} {
		out, err := s.Node().Run("nft", "list", "map", table, "weft", "service-nodeports")
		if err != nil {
			continue
		}
		for _, match := range element.FindAllString(string(out), -1) {
			found[table+" "+match] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}
