package state

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"weft/state/strict"
)

// sumTolerance is how far the shares of an address family may be from 1 together.
const sumTolerance = 1e-6

// report takes a problem with the value at a path inside a document.
type report func(path, message string)

func (r report) got(path, value, expected string) { r(path, "got "+value+", expected "+expected) }

// Validate checks a State that did not come from a file by the rules of [Decode].
// The error is a *multierror.Error of *strict.Problem with paths such as
// servicePorts[riset/web:http].endpoints[1].share, and no lines.
func Validate(s *State) error {
	return ValidateAt(s, func(i int) string {
		if p := s.ServicePorts[i]; p != nil {
			return "servicePorts[" + p.ID() + "]"
		}
		return index("servicePorts", i)
	})
}

// ValidateAt is [Validate] for a State that was made from something else, whose
// author knows ServicePort i by another path: place(i). The paths inside it, and
// those of the header, are the State's. No order is asked for.
func ValidateAt(s *State, place func(i int) string) error {
	var problems []*strict.Problem
	at := func(prefix string) report {
		return func(path, message string) {
			field := strings.Trim(prefix+"."+path, ".")
			problems = append(problems, &strict.Problem{Field: field, Message: message})
		}
	}
	checkHeader(s, at(""))
	for i, p := range s.ServicePorts {
		if p == nil {
			at(place(i))("", "missing, expected a ServicePort")
			continue
		}
		checkServicePort(p, func(path, message string) { at(place(i))(path, message) })
		checkEndpoints(p, func(path, message string) { at(place(i))(path, message) })
	}
	checkTogether(s.ServicePorts, familiesOf(s.Addresses), false,
		func(i int, path, message string) { at(place(i))(path, message) }, place)
	return strict.Join(problems)
}

// checkHeader checks what is not a ServicePort.
func checkHeader(s *State, r report) {
	if !isSubdomain(s.Node) {
		r.got("node", strict.Quote(s.Node), expectedSubdomain)
	}
	checkTime(s.Written, "written", r)
	seen := map[netip.Addr]int{}
	for i, a := range s.Addresses {
		path := index("addresses", i)
		checkAddress(a, path, r)
		if first := remember(seen, a, i); first < i {
			r(path, "got "+a.String()+" again, it is "+index("addresses", first)+" too")
		}
	}
	names := make(map[string]int, len(s.Nodes))
	for i := range s.Nodes {
		checkNode(&s.Nodes[i], index("nodes", i), r)
		if first := remember(names, s.Nodes[i].Name, i); first < i {
			r(index("nodes", i)+".name", "got "+strict.Quote(s.Nodes[i].Name)+" again, it is the name of "+index("nodes", first)+" too")
		}
	}
}

func checkAddress(a netip.Addr, path string, r report) {
	if !isUnicast(a) {
		r.got(path, a.String(), expectedAddress)
	}
}

func checkNode(n *Node, path string, r report) {
	if !isSubdomain(n.Name) {
		r.got(path+".name", strict.Quote(n.Name), expectedSubdomain)
	}
	checkAddress(n.Address, path+".address", r)
	if n.Cores < 0 || n.Cores > maxCores {
		r.got(path+".cores", strconv.Itoa(n.Cores), expectedCores)
	}
	checkTime(n.Unreachable, path+".unreachable", r)
	if l := n.Latency; l != nil {
		if !(l.Seconds > 0) || math.IsInf(l.Seconds, 0) {
			r.got(path+".latency.seconds", float(l.Seconds), "a number of seconds greater than 0, or no latency at all while it is not known")
		}
		checkTime(l.Measured, path+".latency.measured", r)
		checkSource(l.Source, path+".latency.source", r)
	}
	if c := n.CPU; c != nil {
		if !(c.Ratio >= 0 && c.Ratio <= 1) {
			r.got(path+".cpu.ratio", float(c.Ratio), "a number from 0 to 1")
		}
		checkTime(c.Measured, path+".cpu.measured", r)
		checkSource(c.Source, path+".cpu.source", r)
	}
}

// maxCores is far above what Linux can be built for (NR_CPUS is at most 8192).
const maxCores = 1 << 20

const expectedCores = "a whole number from 1 to 1048576, or no cores at all while they are not known"

func checkTime(t time.Time, path string, r report) {
	if year := t.UTC().Year(); year < 1 || year > 9999 {
		r(path, "expected a time in the years 1 to 9999")
	}
}

func checkSource(s, path string, r report) {
	if s != "" {
		checkLabel(s, path, r)
	}
}

// checkServicePort checks the fields of a ServicePort one by one.
func checkServicePort(p *ServicePort, r report) {
	checkLabel(p.Namespace, "namespace", r)
	checkLabel(p.Name, "name", r)
	if p.Port != "" {
		checkLabel(p.Port, "port", r)
	}
	if p.Protocol != TCP && p.Protocol != UDP && p.Protocol != SCTP {
		r.got("protocol", strict.Quote(string(p.Protocol)), "tcp, udp or sctp")
	}
	if p.NodePort == 0 {
		r.got("nodePort", "0", expectedPort)
	}
	if !isReason(p.Skipped) {
		r.got("skipped", strict.Quote(p.Skipped), expectedSkipped)
	}
	if p.Policy != "" && !p.Policy.Known() {
		r.got("policy", strict.Quote(string(p.Policy)), expectedPolicy)
	}
	if p.Affinity != "" && !p.Affinity.Known() {
		r.got("affinity", strict.Quote(string(p.Affinity)), expectedAffinity)
	}
	checkFactors(p, r)
	for i := range p.Endpoints {
		checkEndpoint(&p.Endpoints[i], i, r)
	}
}

const expectedAffinity = "clientIP, or no field affinity"

const expectedPort = "a whole number from 1 to 65535"

func checkLabel(s, path string, r report) {
	if !isLabel(s) {
		r.got(path, strict.Quote(s), expectedLabel)
	}
}

func checkEndpoint(e *Endpoint, i int, r report) {
	if !isUnicast(e.Address) {
		r.got(index("endpoints", i)+".address", e.Address.String(), expectedAddress)
	}
	if e.Port == 0 {
		r.got(index("endpoints", i)+".port", "0", expectedPort)
	}
	if e.Node != "" && !isSubdomain(e.Node) {
		r.got(index("endpoints", i)+".node", strict.Quote(e.Node), expectedSubdomain)
	}
	if w := e.Weight; w != nil && (!(*w >= 0) || math.IsInf(*w, 0)) {
		r.got(index("endpoints", i)+".weight", float(*w), "a number of at least 0, or no weight at all, which is 1")
	}
	if !isFraction(e.Share) {
		r.got(index("endpoints", i)+".share", float(e.Share), expectedFraction)
	}
}

// checkEndpoints checks the endpoints of a ServicePort together; it says
// something useful only where each of them is sound.
func checkEndpoints(p *ServicePort, r report) {
	checkDuplicates(p.Endpoints, r)
	if !p.Steered() {
		return
	}
	if len(p.Endpoints) == 0 {
		r("", "neither endpoints nor skipped, expected one of them")
		return
	}
	var sum [2]float64
	var some [2]bool
	for i := range p.Endpoints {
		f := familyOf(p.Endpoints[i].Address)
		sum[f] += p.Endpoints[i].Share
		some[f] = true
	}
	for f := range sum {
		if some[f] && !(math.Abs(sum[f]-1) <= sumTolerance) {
			r("endpoints", "the shares of "+family(f).String()+" sum to "+float(sum[f])+", expected 1")
		}
	}
}

func checkDuplicates(eps []Endpoint, r report) {
	if areStrictlySorted(eps) {
		return
	}
	seen := make(map[netip.AddrPort]int, len(eps))
	for i := range eps {
		if first := remember(seen, eps[i].AddrPort(), i); first < i {
			r(index("endpoints", i), "got "+eps[i].AddrPort().String()+" again, it is "+index("endpoints", first)+" too")
		}
	}
}

func areStrictlySorted(eps []Endpoint) bool { return isStrictlySortedFunc(eps, compareEndpoints) }

func isStrictlySortedFunc[T any](list []T, compare func(a, b *T) int) bool {
	for i := 1; i < len(list); i++ {
		if compare(&list[i-1], &list[i]) >= 0 {
			return false
		}
	}
	return true
}

func compareEndpoints(a, b *Endpoint) int {
	if c := a.Address.Compare(b.Address); c != 0 {
		return c
	}
	return cmp.Compare(a.Port, b.Port)
}

// checkTogether checks what ServicePorts must not have in common, and that the
// node takes traffic for the families of their endpoints (served), which are in
// order if sorted is set. where names another ServicePort in a message. ServicePorts
// that are nil are left out.
func checkTogether(all []*ServicePort, served [2]bool, sorted bool, r func(i int, path, message string), where func(i int) string) {
	sameID, samePort := firstWithID(all), firstWithNodePort(all)
	for i, p := range all {
		if p == nil {
			continue
		}
		if first := sameID(i); first < i {
			r(i, "name", "got the ServicePort "+p.ID()+"/"+string(p.Protocol)+" again, it is at "+where(first)+" too")
		}
		if first := samePort(i); first < i {
			r(i, "nodePort", "got "+strconv.Itoa(int(p.NodePort))+"/"+string(p.Protocol)+", which "+all[first].ID()+" at "+where(first)+" has already")
		}
		if !sorted || !endsAreServed(p.Endpoints, served) {
			checkFamilies(p, served, func(path, message string) { r(i, path, message) })
		}
	}
}

// firstWithID finds the first ServicePort with the identity of ServicePort i,
// which must be asked for in order. Lists are nearly always sorted, and then two
// of the same stand side by side.
func firstWithID(all []*ServicePort) func(i int) int {
	if isStrictlySorted(all) {
		return func(i int) int { return i }
	}
	seen := make(map[documentKey]int, len(all))
	return func(i int) int { return remember(seen, keyOf(all[i]), i) }
}

func isStrictlySorted(all []*ServicePort) bool {
	for i := 1; i < len(all); i++ {
		if all[i-1] == nil || all[i] == nil || keyOf(all[i-1]).compare(keyOf(all[i])) >= 0 {
			return false
		}
	}
	return len(all) == 0 || all[0] != nil
}

// firstWithNodePort is the same for the nodePort and its protocol. It marks them
// in a bit set, since every file is checked whole, and searches only for one that
// is marked.
func firstWithNodePort(all []*ServicePort) func(i int) int {
	marked := map[Protocol]*[65536 / 64]uint64{}
	return func(i int) int {
		p := all[i]
		bits := marked[p.Protocol]
		if bits == nil {
			bits = new([65536 / 64]uint64)
			marked[p.Protocol] = bits
		}
		word, bit := &bits[p.NodePort/64], uint64(1)<<(p.NodePort%64)
		if *word&bit == 0 {
			*word |= bit
			return i
		}
		return slices.IndexFunc(all, func(q *ServicePort) bool {
			return q != nil && q.Protocol == p.Protocol && q.NodePort == p.NodePort
		})
	}
}

func remember[K comparable](seen map[K]int, key K, i int) (first int) {
	if first, ok := seen[key]; ok {
		return first
	}
	seen[key] = i
	return i
}

// endsAreServed looks at the first and the last endpoint alone: in a list in order,
// no other is of another family.
func endsAreServed(eps []Endpoint, served [2]bool) bool {
	return len(eps) > 0 && served[familyOf(eps[0].Address)] && served[familyOf(eps[len(eps)-1].Address)]
}

func checkFamilies(p *ServicePort, served [2]bool, r report) {
	if !p.Steered() {
		return
	}
	for i := range p.Endpoints {
		f := familyOf(p.Endpoints[i].Address)
		if served[f] {
			continue
		}
		r(index("endpoints", i)+".address", "got "+p.Endpoints[i].Address.String()+", but addresses has no "+family(f).String()+" address that could take its traffic")
		served[f] = true // once a family
	}
}

// family is an address family, an index into arrays of two.
type family int

func (f family) String() string { return [...]string{"IPv4", "IPv6"}[f] }

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return 0
	}
	return 1
}

func familiesOf(addrs []netip.Addr) (has [2]bool) {
	for _, a := range addrs {
		has[familyOf(a)] = true
	}
	return has
}

// familiesTaken are those of the endpoints of a ServicePort that is steered.
func familiesTaken(p *ServicePort) (has [2]bool) {
	for i := range p.Endpoints {
		f := familyOf(p.Endpoints[i].Address)
		has[f] = has[f] || p.Steered()
	}
	return has
}

func index(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

func float(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
