package state

import (
	"bytes"
	"fmt"
	"math/rand"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Names that YAML might take for something else, among ordinary ones.
func drawLabel(t *rapid.T, what string) string {
	return rapid.OneOf(
		rapid.StringMatching(`[a-z]([a-z0-9-]{0,12}[a-z0-9])?`),
		rapid.StringMatching(`[0-9]{1,9}(e[0-9]{1,3})?`),
		rapid.SampledFrom([]string{"null", "true", "no", "on", "y", "0x1f", "0o7", "1e3", "007", "2025-11-24", "0b1", "10-a", "1z"}),
	).Draw(t, what)
}

func drawReason(t *rapid.T) string {
	return rapid.OneOf(
		rapid.StringMatching(`[ -~éü€]{1,40}`),
		rapid.SampledFrom([]string{"yes", "a: b", "a #b", "- a", "{x}", "[x", "'", "null", "1", "it's: so", "a,b", "&a", "*a", "!a", "%a", "@a", "`a", "?", "-", "| x", "> x", "a:", "~", "=", "<<"}),
	).Filter(func(s string) bool { return isReason(s) && s != "" }).Draw(t, "reason")
}

func drawAddress(t *rapid.T, v6 bool) netip.Addr {
	if !v6 {
		b := rapid.SliceOfN(rapid.Byte(), 3, 3).Draw(t, "address")
		return netip.AddrFrom4([4]byte{10, b[0], b[1], b[2]})
	}
	a := [16]byte{0xfd}
	copy(a[8:], rapid.SliceOfN(rapid.SampledFrom([]byte{0, 0, 1, 0xff}), 8, 8).Draw(t, "address"))
	return netip.AddrFrom16(a)
}

func drawTime(t *rapid.T) time.Time {
	return time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "seconds"), rapid.SampledFrom([]int64{0, 1, 676000000}).Draw(t, "nanos")).UTC()
}

func drawEndpointsOf(t *rapid.T, v6 bool) (eps []Endpoint) {
	n := rapid.IntRange(1, 6).Draw(t, "endpoints")
	seen := map[netip.AddrPort]bool{}
	sum := 0.0
	for range n {
		e := Endpoint{Address: drawAddress(t, v6), Port: rapid.Uint16Range(1, 65535).Draw(t, "port"), Share: rapid.Float64Range(0, 1).Draw(t, "share")}
		if rapid.Bool().Draw(t, "has a node") {
			e.Node = drawLabel(t, "node")
		}
		if rapid.Bool().Draw(t, "has a weight") {
			e.Weight = new(rapid.Float64Range(0, 1e300).Draw(t, "weight"))
		}
		if !seen[e.AddrPort()] {
			seen[e.AddrPort()] = true
			eps = append(eps, e)
			sum += e.Share
		}
	}
	for i := range eps {
		if sum == 0 {
			eps[i].Share = 1 / float64(len(eps))
			continue
		}
		eps[i].Share /= sum
	}
	return eps
}

func drawHeld(t *rapid.T) []Hold {
	if held := rapid.SliceOfNDistinct(rapid.SampledFrom(holds()), -1, -1, rapid.ID).Draw(t, "held"); len(held) > 0 {
		return held
	}
	return nil
}

func drawFactors(t *rapid.T) (factors []Factor) {
	for i := range rapid.IntRange(0, 4).Draw(t, "factors") {
		f := Factor{Target: rapid.Float64Range(0, 1).Draw(t, "target"), Share: rapid.Float64Range(0, 1).Draw(t, "share")}
		if rapid.Bool().Draw(t, "by node") {
			f.Node = fmt.Sprintf("%s-%d", drawLabel(t, "node"), i)
		} else {
			f.Address = netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
		}
		for _, v := range []**float64{&f.Base, &f.Latency, &f.Trim, &f.Guard} {
			if rapid.Bool().Draw(t, "known") {
				*v = new(rapid.Float64Range(5e-324, 1).Draw(t, "factor"))
			}
		}
		factors = append(factors, f)
	}
	return factors
}

func drawServicePort(t *rapid.T, i int) *ServicePort {
	p := &ServicePort{
		Namespace: drawLabel(t, "namespace"), Name: drawLabel(t, "name"), NodePort: uint16(30000 + i),
		Protocol: rapid.SampledFrom([]Protocol{TCP, UDP, SCTP}).Draw(t, "protocol"),
	}
	if rapid.Bool().Draw(t, "has a port name") {
		p.Port = drawLabel(t, "port name")
	}
	for _, v6 := range []bool{false, true} {
		if rapid.Bool().Draw(t, "family") {
			p.Endpoints = append(p.Endpoints, drawEndpointsOf(t, v6)...)
		}
	}
	if rapid.Bool().Draw(t, "has a policy") {
		p.Policy = rapid.SampledFrom(Policies()).Draw(t, "policy")
		p.Affinity = rapid.SampledFrom([]Affinity{"", ClientIP}).Draw(t, "affinity")
		p.Held = drawHeld(t)
		p.Factors = drawFactors(t)
	}
	if len(p.Endpoints) == 0 || rapid.IntRange(0, 4).Draw(t, "skipped") == 0 {
		p.Skipped = drawReason(t)
	}
	return p
}

func drawSource(t *rapid.T) string {
	if rapid.Bool().Draw(t, "no source") {
		return ""
	}
	return drawLabel(t, "source")
}

func drawState(t *rapid.T) *State {
	s := &State{Node: drawLabel(t, "own node"), Generation: rapid.Uint64().Draw(t, "generation")}
	if rapid.Bool().Draw(t, "written") {
		s.Written = drawTime(t)
	}
	s.Addresses = []netip.Addr{drawAddress(t, false), drawAddress(t, true)}
	for i := range rapid.IntRange(0, 3).Draw(t, "nodes") {
		n := Node{Name: fmt.Sprintf("%s-%d", drawLabel(t, "node"), i), Address: drawAddress(t, i%2 == 0)}
		if rapid.Bool().Draw(t, "latency") {
			n.Latency = &Latency{Seconds: rapid.Float64Range(5e-324, 1e9).Draw(t, "latency"), Measured: drawTime(t), Source: drawSource(t)}
		}
		if rapid.Bool().Draw(t, "cpu") {
			n.CPU = &CPU{Ratio: rapid.Float64Range(0, 1).Draw(t, "cpu"), Measured: drawTime(t), Source: drawSource(t)}
		}
		n.Cores = rapid.SampledFrom([]int{0, 1, 64, maxCores}).Draw(t, "cores")
		if rapid.Bool().Draw(t, "unreachable") {
			n.Unreachable = drawTime(t)
		}
		s.Nodes = append(s.Nodes, n)
	}
	ids := map[documentKey]bool{}
	for i := range rapid.IntRange(0, 5).Draw(t, "servicePorts") {
		p := drawServicePort(t, i)
		if !ids[keyOf(p)] {
			ids[keyOf(p)] = true
			s.ServicePorts = append(s.ServicePorts, p)
		}
	}
	return s
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawState(t)
		data, err := Encode(s)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode("f", data)
		if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		if diff := cmp.Diff(s.sorted(nil), got, options); diff != "" {
			t.Fatalf("(-want +got):\n%s\n%s", diff, data)
		}
		isSameTheStrictWay(t, got, data)
		again, err := Encode(got)
		if err != nil || !bytes.Equal(data, again) {
			t.Fatalf("encoded again, the bytes differ: %v\n%s", err, cmp.Diff(string(data), string(again)))
		}
	})
}

// isSameTheStrictWay reads every document without the quick way.
func isSameTheStrictWay(t *rapid.T, want *State, data []byte) {
	docs := split(data)
	got, _, problems := readHeader("f", 1, docs[0].text)
	for _, doc := range docs[1:] {
		p, more := readServicePort("f", doc.line(data), doc.text)
		got.ServicePorts = append(got.ServicePorts, p)
		problems = append(problems, more...)
	}
	if diff := cmp.Diff(want, got, options); diff != "" || len(problems) > 0 {
		t.Fatalf("the strict way: %v (-want +got):\n%s\n%s", problems, diff, data)
	}
}

// A Decoder and an Encoder that have seen other states say what new ones say.
func TestIncrementalIsFull(t *testing.T) {
	var d Decoder
	var e Encoder
	last := &State{Node: "n"}
	rapid.Check(t, func(t *rapid.T) {
		s := drawState(t)
		for i, p := range last.ServicePorts { // documents that stay
			if i%2 == 0 {
				s.ServicePorts = append(s.ServicePorts, p)
			}
		}
		full, fullErr := Encode(s)
		part, partErr := e.Encode(s)
		if fmt.Sprint(fullErr) != fmt.Sprint(partErr) || !bytes.Equal(full, part) {
			t.Fatalf("encoded: %v, %v\n%s", fullErr, partErr, cmp.Diff(string(full), string(part)))
		}
		if fullErr != nil {
			return
		}
		want, wantErr := Decode("f", full)
		got, gotErr := d.Decode("f", full)
		if diff := cmp.Diff(want, got, options); diff != "" || wantErr != nil || gotErr != nil {
			t.Fatalf("decoded: %v, %v\n%s", wantErr, gotErr, diff)
		}
		last = got
	})
}

// ServicePorts that did not change are not good for ever: whether the node takes their
// traffic is a question about its addresses.
func TestEncoderLooksAtAddresses(t *testing.T) {
	var e Encoder
	s := example()
	for _, c := range []struct {
		name, address string
		good          bool
	}{{"as they were", "10.34.4.141", true}, {"another", "10.34.4.142", true}, {"of another family", "fd00::1", false}, {"back", "10.34.4.141", true}} {
		s.Addresses = []netip.Addr{netip.MustParseAddr(c.address)}
		if _, err := e.Encode(s); (err == nil) != c.good {
			t.Errorf("addresses %s: error = %v", c.name, err)
		}
	}
}

// The order of anything in a State leaves no trace in the file.
func TestEncodeOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawState(t)
		want, err := Encode(s)
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed")))
		r.Shuffle(len(s.ServicePorts), func(i, j int) { s.ServicePorts[i], s.ServicePorts[j] = s.ServicePorts[j], s.ServicePorts[i] })
		r.Shuffle(len(s.Nodes), func(i, j int) { s.Nodes[i], s.Nodes[j] = s.Nodes[j], s.Nodes[i] })
		s.Addresses[0], s.Addresses[1] = s.Addresses[1], s.Addresses[0]
		for _, p := range s.ServicePorts {
			r.Shuffle(len(p.Factors), func(i, j int) { p.Factors[i], p.Factors[j] = p.Factors[j], p.Factors[i] })
			r.Shuffle(len(p.Held), func(i, j int) { p.Held[i], p.Held[j] = p.Held[j], p.Held[i] })
			r.Shuffle(len(p.Endpoints), func(i, j int) { p.Endpoints[i], p.Endpoints[j] = p.Endpoints[j], p.Endpoints[i] })
		}
		if got, err := Encode(s); err != nil || !bytes.Equal(want, got) {
			t.Fatalf("%v\n%s", err, cmp.Diff(string(want), string(got)))
		}
	})
}

func seeds(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
}

// No input makes the decoder panic, and what it takes is a state that can be
// written and read again.
func FuzzDecode(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Decode("f", data)
		if err != nil {
			return
		}
		if err := Validate(s); err != nil {
			t.Fatalf("decoded, but not valid: %v", err)
		}
		again, err := Encode(s)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode("f", again)
		if err != nil {
			t.Fatalf("%v\n%s", err, again)
		}
		if diff := cmp.Diff(s, got, options); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// What the quick way takes means the same the strict way.
func FuzzScan(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, doc := range split(data) {
			f.Add(string(doc.text))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if quick := scanServicePort(text, nil); quick != nil {
			p, problems := readServicePort("f", 1, []byte(text))
			p.sort()
			if diff := cmp.Diff(p, quick, options); diff != "" || len(problems) > 0 {
				t.Fatalf("%v (-strict +quick):\n%s", problems, diff)
			}
		}
		if quick, count := scanHeader(text); quick != nil {
			s, n, problems := readHeader("f", 1, []byte(text))
			if diff := cmp.Diff(s, quick, options); diff != "" || n != count || len(problems) > 0 {
				t.Fatalf("%v %d %d (-strict +quick):\n%s", problems, n, count, diff)
			}
		}
	})
}

// The canonical form must take the quick way, or all its speed is gone unnoticed.
func TestQuickWayTakesWhatTheEncoderWrites(t *testing.T) {
	s := large(20, 3)
	s.Nodes[0], s.ServicePorts[0] = explained().Nodes[0], explained().ServicePorts[0]
	data := must[[]byte](t)(Encode(s))
	for i, doc := range split(data) {
		if i == 0 {
			if s, _ := scanHeader(string(doc.text)); s == nil {
				t.Errorf("the header takes the slow way:\n%s", doc.text)
			}
			continue
		}
		if scanServicePort(string(doc.text), nil) == nil {
			t.Errorf("a ServicePort takes the slow way:\n%s", doc.text)
		}
	}
}

// What is nearly in the canonical form means the same both ways, or is left to
// the strict one.
func TestScanNearMisses(t *testing.T) {
	const doc = "kind: ServicePort\nnamespace: riset\nname: web\nport: http\nprotocol: tcp\nnodePort: 30000\npolicy: cpu\nheld: [panic]\n" +
		"factors:\n- {node: f, latency: 0.25, target: 0.125, share: 0.125}\n- {address: 10.0.0.9, guard: 0.75, target: 0.625, share: 0.625}\nendpoints:\n" +
		"- {address: 10.0.0.1, port: 80, node: a, weight: 3, share: 0.5}\n- {address: 10.0.0.2, port: 80, node: m, share: 0.5}\n"
	if scanServicePort(doc, nil) == nil {
		t.Fatal("the form itself is not taken")
	}
	values := []string{
		"123", "1e3", "0x1", "0o7", "017", "null", "~", "true", "yes", "y", ".5", "5.", "00.5", "+1", "-0", "-1", "1_0", ".nan", "", " ", "''", `""`,
		"&a b", "*a", "!t x", "{}", "[]", "a: b", "a #b", "2025-11-24", "10.0.0.1", "fd00::", "::1", "fd00::1", "::ffff:1.2.3.4", "65536", "030000", "0",
		"a\nb: c", "a\r", "a\t", "A", "a-", "a.b", "1.0", "0.50", "1" + string(make([]byte, 1)),
	}
	for _, field := range []string{"riset", "web", "http", "tcp", "30000", "10.0.0.1", "80", "node: a", "a,", "0.5", "cpu", "[panic]", "panic", "node: f", "10.0.0.9", "0.25", "0.125", "0.625", "weight: 3", "3", "factors:", "kind: ServicePort\n", "endpoints:", "}\n", "- {", ", "} {
		for _, v := range values {
			for _, new := range []string{v, field + v, v + field} {
				text := string(bytes.Replace([]byte(doc), []byte(field), []byte(new), 1))
				quick := scanServicePort(text, nil)
				if quick == nil {
					continue
				}
				p, problems := readServicePort("f", 1, []byte(text))
				p.sort()
				if diff := cmp.Diff(p, quick, options); diff != "" || len(problems) > 0 {
					t.Errorf("%v (-strict +quick):\n%s\n%s", problems, diff, text)
				}
			}
		}
	}
}

// Strings have quotes where any YAML reader may take them for something else, and
// nowhere else.
func TestScalar(t *testing.T) {
	tests := map[string]string{
		"riset": "riset", "k8s-slave-2-vm": "k8s-slave-2-vm", "10-node": "10-node", "1-2": "1-2",
		"y": `"y"`, "no": `"no"`, "null": `"null"`, "123": `"123"`, "1e3": `"1e3"`, "0x1f": `"0x1f"`, "2025-11-24": `"2025-11-24"`, "": `""`,
		"all endpoints are on one node": "all endpoints are on one node",
		"externalTrafficPolicy Local":   "externalTrafficPolicy Local",
		"a: b":                          "'a: b'", "a #b": "'a #b'", "- a": "'- a'", "<<": `"<<"`,
	}
	for in, want := range tests {
		if got := scalar(in); got != want {
			t.Errorf("%q is written as %s, want %s", in, got, want)
		}
	}
}
