package render

import (
	"maps"
	"math/bits"
	"slices"
)

// nodePorts are the nodePorts of a list of ServicePorts by their protocol, each of which
// has a nodePort once, as in every state that was checked. They follow the list without
// a look at what did not change: thousands of ServicePorts are all over the memory.
type nodePorts map[string]*portBits

type portBits struct {
	taken [1 << 16 / 64]uint64 // a bit for each
	n     int
}

// change goes from one list to the next.
func (s nodePorts) change(before, now []*ServicePort) {
	head, tail := sharedEnds(before, now, false)
	for _, p := range before[head : len(before)-tail] {
		s.take(p.Protocol, p.NodePort)
	}
	for _, p := range now[head : len(now)-tail] {
		s.put(p.Protocol, p.NodePort)
	}
}

// protocols lists the protocols, sorted.
func (s nodePorts) protocols() []string { return slices.Sorted(maps.Keys(s)) }

// of lists the nodePorts of a protocol, sorted.
func (s nodePorts) of(protocol string) []uint16 {
	set := s[protocol]
	if set == nil {
		return []uint16{}
	}
	ports := make([]uint16, 0, set.n)
	for i, word := range set.taken {
		for ; word != 0; word &= word - 1 {
			ports = append(ports, uint16(i*64+bits.TrailingZeros64(word)))
		}
	}
	return ports
}

func (s nodePorts) put(protocol string, port uint16) {
	set := s[protocol]
	if set == nil {
		set = &portBits{}
		s[protocol] = set
	}
	if word, bit := &set.taken[port/64], uint64(1)<<(port%64); *word&bit == 0 {
		*word |= bit
		set.n++
	}
}

func (s nodePorts) take(protocol string, port uint16) {
	set := s[protocol]
	if set == nil {
		return
	}
	if word, bit := &set.taken[port/64], uint64(1)<<(port%64); *word&bit != 0 {
		*word &^= bit
		set.n--
	}
	if set.n == 0 {
		delete(s, protocol)
	}
}
