package render

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"

	"weft/state"
)

// This file says how a packet finds its endpoint: a number is drawn from 0 to
// modulus-1, and each endpoint has as many of these slots as its share asks for.
// The number is random, or for a ServicePort with affinity a hash of the client's
// address: then the same client draws the same number each time.

// modulus is the number of slots that the ServicePort's shares are cut into.
func modulus(vars Vars, p *ServicePort) int {
	if n, ok := vars["modulus"].(int); ok && n > 0 {
		return n
	}
	n, _ := state.Modulus(p.records)
	return n
}

// draw is nft's expression for a number from 0 to modulus-1.
func draw(modulus int, p *ServicePort) string {
	if p.Affinity == "" {
		return "numgen random mod " + strconv.Itoa(modulus)
	}
	return "jhash " + p.Family.Name + " saddr mod " + strconv.Itoa(modulus) + " seed " + p.seed()
}

func (p *ServicePort) seed() string {
	n, _ := p.Vars["affinitySeed"].(int)
	return strconv.Itoa(n)
}

// Slots are the slots of one endpoint: those from First on, Count of them.
type Slots struct {
	Address  netip.Addr
	Port     uint16
	AddrPort string
	Node     string
	Local    bool
	Share    float64

	First, Count int

	endpoint *Endpoint
}

// Percent is the share as people read it.
func (s Slots) Percent() string { return percent(s.Share) }

// String is the range as nft prints it: a single slot is a bare number.
func (s Slots) String() string {
	if s.Count == 1 {
		return strconv.Itoa(s.First)
	}
	return strconv.Itoa(s.First) + "-" + strconv.Itoa(s.First+s.Count-1)
}

// slots repeats the fields of the endpoint: package reflect needs long to find
// those of an embedded one.
func (e *Endpoint) slots(first, count int) Slots {
	return Slots{e.Address, e.Port, e.AddrPort, e.Node, e.Local, e.Share, first, count, e}
}

// ranges cuts 0..modulus-1 into one range for each endpoint with a share. The
// ranges follow one another without a hole, in the order of the endpoints.
func ranges(modulus int, p *ServicePort) ([]Slots, error) {
	counts, err := state.Slots(p.node, p.records, modulus)
	if err != nil {
		return nil, err
	}
	list, endpoints := make([]Slots, 0, len(counts)), p.Endpoints()
	first := 0
	for i, n := range counts {
		if n > 0 {
			list = append(list, endpoints[i].slots(first, n))
		}
		first += n
	}
	return list, nil
}

// Pick is a rule of a cascade: the endpoint is taken with Count out of the Left
// slots that the rules before it left.
type Pick struct {
	Address  netip.Addr
	Port     uint16
	AddrPort string
	Node     string
	Local    bool
	Share    float64

	Count, Left int
	// Last takes all that is left.
	Last bool
	// Match is nft's condition for the pick, with a space behind it; empty for the
	// last one.
	Match string
	// Comment says in quotes how much of the ServicePort's connections the endpoint
	// gets, and on which node it is.
	Comment string

	endpoint *Endpoint
}

// Percent is the share as people read it.
func (p Pick) Percent() string { return percent(p.Share) }

// cascade orders the endpoints so that an average packet meets few rules: the
// largest share first, equal ones in the order of the endpoints. Those of a
// ServicePort with affinity stay in that order, so that few clients move when
// shares change.
func cascade(modulus int, p *ServicePort) ([]Pick, error) {
	list, err := ranges(modulus, p)
	if err != nil {
		return nil, err
	}
	return p.picks(list, steps{modulus: modulus, left: modulus})
}

// steps are the conditions of rules behind one another, of which each takes some
// slots of those that are left.
type steps struct {
	modulus int // of the hash
	left    int
	taken   int // by the hash, up to here
}

// match is the condition that takes so many slots.
func (s *steps) match(p *ServicePort, count int) string {
	left := s.left
	s.left -= count
	s.taken += count
	switch {
	case s.left == 0:
		return ""
	case p.Affinity == "":
		// Each rule draws anew, from what is left.
		return draw(left, p) + " < " + strconv.Itoa(count) + " "
	}
	// The same number each time: of those below, the rules before took theirs.
	return draw(s.modulus, p) + " < " + strconv.Itoa(s.taken) + " "
}

func (p *ServicePort) picks(list []Slots, s steps) ([]Pick, error) {
	if p.Affinity == "" {
		slices.SortStableFunc(list, func(a, b Slots) int { return cmp.Compare(b.Count, a.Count) })
	}
	picks := make([]Pick, len(list))
	for i := range list {
		e := &list[i]
		text := percent(e.Share)
		if e.Node != "" {
			text += " on " + e.Node
		}
		quoted, err := comment(text)
		if err != nil {
			return nil, err
		}
		left := s.left
		picks[i] = Pick{
			e.Address, e.Port, e.AddrPort, e.Node, e.Local, e.Share,
			e.Count, left, i == len(list)-1, s.match(p, e.Count), quoted, e.endpoint,
		}
	}
	return picks, nil
}

// flatLimit is up to how many endpoints with a share are picked by one chain. A
// rule that is passed costs about 75 ns, and the first packet of a connection
// through one plain rule 6 µs: with 32 endpoints, half of which an average packet
// passes, it is a fifth more, and it would be four times as much with 500. In
// a tree it is a fifth more with 500, too.
const flatLimit = 32

// Branch is a chain with a part of a ServicePort's endpoints, taken with Count
// out of the Left slots that the branches before it left.
type Branch struct {
	// Chain is the name of its chain: that of the ServicePort, /, and a number.
	Chain       string
	Count, Left int
	// Match is nft's condition for the branch, with a space behind it; empty for the
	// last one.
	Match string
	// Comment says in quotes how much of the ServicePort's connections the branch
	// gets, and how many endpoints there are.
	Comment string
	// Picks are its rules.
	Picks []Pick
}

// branches cuts the endpoints of a ServicePort that has many into about as many
// chains as each of them then has rules. There are none where one chain does.
//
// A hash of its address puts an endpoint into its branch, so that another endpoint
// or share changes one branch and the chain before them, and not all.
func branches(pattern string, modulus int, p *ServicePort) ([]Branch, error) {
	list, err := ranges(modulus, p)
	if err != nil || len(list) <= flatLimit {
		return nil, err
	}
	parts := make([][]Slots, 1<<((bits.Len(uint(len(list)-1))+1)/2))
	for i := range list {
		n := bucket(list[i].endpoint, len(parts))
		parts[n] = append(parts[n], list[i])
	}
	return p.branches(pattern, parts, modulus)
}

// bucket is one of n, the same for the endpoint on every machine.
func bucket(e *Endpoint, n int) int {
	h := fnv.New32a()
	address := e.Address.As16()
	_, _ = h.Write(append(address[:], byte(e.Port>>8), byte(e.Port))) // a hash takes everything
	sum := h.Sum32()
	return int((sum ^ sum>>16) % uint32(n))
}

func (p *ServicePort) branches(pattern string, parts [][]Slots, modulus int) ([]Branch, error) {
	chain, err := chainName(pattern, p)
	if err != nil {
		return nil, err
	}
	order := make([]int, 0, len(parts))
	for n := range parts {
		if len(parts[n]) > 0 {
			order = append(order, n)
		}
	}
	if p.Affinity == "" {
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(total(parts[b]), total(parts[a])) })
	}
	list := make([]Branch, 0, len(order))
	s := steps{modulus: modulus, left: modulus}
	for _, n := range order {
		b := Branch{Chain: chain + "/" + strconv.Itoa(n), Count: total(parts[n]), Left: s.left}
		if err := checkName(b.Chain); err != nil {
			return nil, fmt.Errorf("name a branch of %s: %w", p.ID, err)
		}
		if b.Picks, err = p.picks(parts[n], steps{modulus: modulus, left: b.Count, taken: s.taken}); err != nil {
			return nil, err
		}
		if b.Comment, err = comment(sumOf(parts[n]) + ", " + strconv.Itoa(len(parts[n])) + " endpoints"); err != nil {
			return nil, err
		}
		b.Match = s.match(p, b.Count)
		list = append(list, b)
	}
	return list, nil
}

func total(list []Slots) (n int) {
	for i := range list {
		n += list[i].Count
	}
	return n
}

func sumOf(list []Slots) string {
	sum := 0.0
	for i := range list {
		sum += list[i].Share
	}
	return percent(sum)
}
