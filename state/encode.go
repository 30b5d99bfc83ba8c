package state

import (
	"bytes"
	"cmp"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Encode writes a State as a state file. The same State is always the same bytes.
// The error is that of [Validate]: what Encode writes, [Decode] takes.
func Encode(s *State) ([]byte, error) { return new(Encoder).Encode(s) }

// Encoder encodes one State after the other, and does not encode again what did not
// change. The zero value is ready; it is not for concurrent use.
type Encoder struct {
	known  []placed // the documents of the last text, in its order
	served [2]bool  // families of its addresses, v4 and v6
	text   []byte   // which is this one, unless it is in a file
}

// documentKey is what makes a ServicePort the same one as in the State before.
type documentKey struct {
	namespace, name, port string
	protocol              Protocol
}

// placed is a document and where it is in a text.
type placed struct {
	from      *ServicePort
	at, size  int
	endpoints int // of the ServicePort
}

// Encode writes a State as [Encode] does. A State that is refused leaves the
// encoder as it was. The bytes are good until the next one, and nobody changes them.
func (e *Encoder) Encode(s *State) ([]byte, error) {
	if slices.Contains(s.ServicePorts, nil) {
		return nil, Validate(s)
	}
	d, err := e.draft(s.sorted(nil), bytes.NewReader(e.text))
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	text.Grow(d.size)
	if _, err := d.WriteTo(&text); err != nil {
		return nil, err
	}
	e.known, e.served, e.text = d.known, d.served, text.Bytes()
	return e.text, nil
}

// draft writes what a State that is sorted has new. The rest is in the last text, old.
func (e *Encoder) draft(s *State, old io.ReadSeeker) (*draft, error) {
	before := e.before(s.ServicePorts)
	if !e.isSurelyGood(s, before) {
		if err := Validate(s); err != nil {
			return nil, err
		}
	}
	d := &draft{old: old, known: before, served: familiesOf(s.Addresses), scratch: appendHeader(nil, s, countEndpoints(s.ServicePorts, before))}
	d.put(d.scratch)
	for i, p := range s.ServicePorts {
		d.known[i] = d.document(p, before[i])
	}
	return d, nil
}

// before are the ServicePorts of the State before that are the same ones as these,
// in their order, empty where there was none. Both lists are sorted.
func (e *Encoder) before(list []*ServicePort) []placed {
	same, known := make([]placed, len(list)), e.known
	for i, p := range list {
		for len(known) > 0 && known[0].from != p && keyOf(known[0].from).compare(keyOf(p)) < 0 {
			known = known[1:]
		}
		if len(known) > 0 && (known[0].from == p || keyOf(known[0].from) == keyOf(p)) {
			same[i], known = known[0], known[1:]
		}
	}
	return same
}

// isSurelyGood reports whether nothing is wrong with a State, without a look into the
// ServicePorts that were encoded before.
func (e *Encoder) isSurelyGood(s *State, before []placed) (good bool) {
	good = true
	bad := func(string, string) { good = false }
	checkHeader(s, bad)
	served := familiesOf(s.Addresses)
	same := len(e.known) == len(s.ServicePorts) && e.served == served
	for i, p := range s.ServicePorts {
		if before[i].from != p {
			same, good = false, good && isGood(p)
		}
	}
	if !same {
		checkTogether(s.ServicePorts, served, true, func(int, string, string) { good = false },
			func(int) string { return "" })
	}
	return good
}

func (k documentKey) compare(l documentKey) int {
	return cmp.Or(strings.Compare(k.namespace, l.namespace), strings.Compare(k.name, l.name),
		strings.Compare(k.port, l.port), strings.Compare(string(k.protocol), string(l.protocol)))
}

func keyOf(p *ServicePort) documentKey { return documentKey{p.Namespace, p.Name, p.Port, p.Protocol} }

func equalServicePorts(p, q *ServicePort) bool {
	return p.Namespace == q.Namespace && p.Name == q.Name && p.Port == q.Port && p.Protocol == q.Protocol &&
		p.NodePort == q.NodePort && p.Policy == q.Policy && p.Affinity == q.Affinity && p.Skipped == q.Skipped && slices.Equal(p.Held, q.Held) &&
		slices.EqualFunc(p.Factors, q.Factors, equalFactors) && slices.EqualFunc(p.Endpoints, q.Endpoints, equalEndpoints)
}

// countEndpoints looks into those ServicePorts alone that were not encoded before.
func countEndpoints(list []*ServicePort, before []placed) (n int) {
	for i, p := range list {
		if before[i].from == p {
			n += before[i].endpoints
		} else {
			n += len(p.Endpoints)
		}
	}
	return n
}

func appendHeader(b []byte, s *State, endpoints int) []byte {
	b = append(b, "apiVersion: "+APIVersion+"\nkind: State\nnode: "+scalar(s.Node)+"\ngeneration: "...)
	b = strconv.AppendUint(b, s.Generation, 10)
	if !s.Written.IsZero() {
		b = appendTime(append(b, "\nwritten: "...), s.Written)
	}
	b = append(b, "\naddresses: ["...)
	for i, a := range s.Addresses {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, addressText(a.String())...)
	}
	b = append(b, "]\nservicePorts: "...)
	b = strconv.AppendInt(b, int64(len(s.ServicePorts)), 10)
	b = append(b, "\nendpoints: "...)
	b = append(strconv.AppendInt(b, int64(endpoints), 10), '\n')
	if len(s.Nodes) > 0 {
		b = append(b, "nodes:\n"...)
	}
	for i := range s.Nodes {
		b = appendNode(b, &s.Nodes[i])
	}
	return b
}

func appendNode(b []byte, n *Node) []byte {
	b = append(b, "- name: "+scalar(n.Name)+"\n  address: "+addressText(n.Address.String())+"\n"...)
	if n.Cores > 0 {
		b = append(strconv.AppendInt(append(b, "  cores: "...), int64(n.Cores), 10), '\n')
	}
	if l := n.Latency; l != nil {
		b = appendMeasure(append(b, "  latency: {seconds: "...), l.Seconds, l.Measured, l.Source)
	}
	if c := n.CPU; c != nil {
		b = appendMeasure(append(b, "  cpu: {ratio: "...), c.Ratio, c.Measured, c.Source)
	}
	if !n.Unreachable.IsZero() {
		b = append(appendTime(append(b, "  unreachable: "...), n.Unreachable), '\n')
	}
	return b
}

func appendMeasure(b []byte, v float64, measured time.Time, source string) []byte {
	b = appendTime(append(appendFloat(b, v), ", measured: "...), measured)
	if source != "" {
		b = append(append(b, ", source: "...), scalar(source)...)
	}
	return append(b, "}\n"...)
}

func appendServicePort(b []byte, p *ServicePort) []byte {
	b = append(b, "---\nkind: ServicePort\nnamespace: "...)
	b = append(append(b, scalar(p.Namespace)...), "\nname: "...)
	b = append(append(b, scalar(p.Name)...), "\nport: "...)
	b = append(append(b, scalar(p.Port)...), "\nprotocol: "...)
	b = append(append(b, p.Protocol...), "\nnodePort: "...)
	b = append(strconv.AppendUint(b, uint64(p.NodePort), 10), '\n')
	if p.Policy != "" {
		b = append(append(append(b, "policy: "...), p.Policy...), '\n')
	}
	if p.Affinity != "" {
		b = append(append(append(b, "affinity: "...), p.Affinity...), '\n')
	}
	if p.Skipped != "" {
		b = append(append(append(b, "skipped: "...), scalar(p.Skipped)...), '\n')
	}
	b = appendHeld(b, p.Held)
	if len(p.Factors) > 0 {
		b = append(b, "factors:\n"...)
	}
	for i := range p.Factors {
		b = appendFactor(b, &p.Factors[i])
	}
	if len(p.Endpoints) > 0 {
		b = append(b, "endpoints:\n"...)
	}
	for i := range p.Endpoints {
		b = appendEndpoint(b, &p.Endpoints[i])
	}
	return b
}

func appendHeld(b []byte, held []Hold) []byte {
	for i, h := range held {
		b = append(b, [...]string{"held: [", ", "}[min(i, 1)]...)
		b = append(b, h...)
	}
	if len(held) > 0 {
		b = append(b, "]\n"...)
	}
	return b
}

func appendFactor(b []byte, f *Factor) []byte {
	if f.Node != "" {
		b = append(append(b, "- {node: "...), scalar(f.Node)...)
	} else {
		b = appendAddress(append(b, "- {address: "...), f.Address)
	}
	b = appendNumber(b, ", base: ", f.Base)
	b = appendNumber(b, ", latency: ", f.Latency)
	b = appendNumber(b, ", trim: ", f.Trim)
	b = appendNumber(b, ", guard: ", f.Guard)
	b = appendFloat(append(b, ", target: "...), f.Target)
	b = appendFloat(append(b, ", share: "...), f.Share)
	return append(b, "}\n"...)
}

// appendNumber leaves out what is not known.
func appendNumber(b []byte, key string, v *float64) []byte {
	if v == nil {
		return b
	}
	return appendFloat(append(b, key...), *v)
}

func appendAddress(b []byte, a netip.Addr) []byte {
	if a.Is4() {
		return a.AppendTo(b)
	}
	return append(b, addressText(a.String())...)
}

func appendEndpoint(b []byte, e *Endpoint) []byte {
	b = appendAddress(append(b, "- {address: "...), e.Address)
	b = strconv.AppendUint(append(b, ", port: "...), uint64(e.Port), 10)
	if e.Node != "" {
		b = append(append(b, ", node: "...), scalar(e.Node)...)
	}
	b = appendNumber(b, ", weight: ", e.Weight)
	b = appendFloat(append(b, ", share: "...), e.Share)
	return append(b, "}\n"...)
}

// addressText quotes the addresses that braces and brackets would tear apart,
// such as fd00::.
func addressText(a string) string {
	if isPlainAddress(a) {
		return a
	}
	return `"` + a + `"`
}

// appendFloat writes the shortest decimal that reads back as the same number.
func appendFloat(b []byte, v float64) []byte { return strconv.AppendFloat(b, v+0, 'f', -1, 64) }

func appendTime(b []byte, t time.Time) []byte { return t.UTC().AppendFormat(b, time.RFC3339Nano) }
