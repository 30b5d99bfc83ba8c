package render

import (
	"math"
	"net/netip"
	"slices"
)

// kept is what a template wrote for one item: of a range, or as a partial.
//
// It is made of the item, of the variables from outside that the body reads, and
// of what else of the data the templates asked for while they were executed, which
// the data notes (see view). The item never changes, the variables are part of
// what it is found by, and on what else it depends is in depends: nothing else
// can be reached from a template, whose functions all give the same answer each
// time.
type kept struct {
	site  int    // where in the templates
	key   uint64 // of the variables from outside
	index int    // of the item, where the body knows it; else 0

	text    string
	ending  ending
	err     error // if the template failed
	depends dependency
	height  int    // how many partials deep it went
	run     uint64 // when it was last known to be right
	alone   bool   // it would be the same if there were no other ServicePorts
}

// dependsOnOthers reports whether the text was made of other ServicePorts, too.
func (k *kept) dependsOnOthers() bool {
	return k.depends&(onServicePorts.of(0)|onServicePorts.of(1)) != 0
}

// numbers gives numbers to the values of a site's variables from outside.
type numbers struct {
	last  uint64
	known []numbered
}

type numbered struct {
	values []any
	number uint64
	run    uint64 // when it was last asked for
}

// number gives equal values the same number, for as long as they are asked for.
func (k *numbers) number(values []any, run uint64) uint64 {
	for i := range k.known {
		if slices.EqualFunc(k.known[i].values, values, sameValue) {
			k.known[i].run = run
			return k.known[i].number
		}
	}
	k.known = slices.DeleteFunc(k.known, func(n numbered) bool { return n.run+keepRuns < run })
	k.last++
	k.known = append(k.known, numbered{slices.Clone(values), k.last, run})
	return k.last
}

// keepRuns is for how many executions of a set something is kept that none of
// them asked for. One rendering may take several, since ServicePorts may fail.
const keepRuns = 16

// areFixed reports whether all values are of kinds that cannot change: then what
// was made of them is right for as long as they are equal.
func areFixed(values []any) bool {
	for _, v := range values {
		switch v.(type) {
		case *Data, *Family, *ServicePort, *Endpoint, string, bool, int, int64, uint16, float64, netip.Addr:
		default:
			return false
		}
	}
	return true
}

// sayNothingOfOthers reports whether the values are the same whatever other
// ServicePorts there are.
func sayNothingOfOthers(values []any) bool {
	for _, v := range values {
		switch v.(type) {
		case *Data, *Family:
		default:
			return false
		}
	}
	return true
}

// sameValue compares two fixed values. Equal floats may still print otherwise.
func sameValue(a, b any) bool {
	if f, ok := a.(float64); ok {
		g, ok := b.(float64)
		return ok && math.Float64bits(f) == math.Float64bits(g)
	}
	return a == b
}

// find gives what was kept for a ServicePort.
func (p *ServicePort) find(site int, key uint64, index int) *kept {
	for i := range p.kept {
		if k := &p.kept[i]; k.site == site && k.key == key && k.index == index {
			return k
		}
	}
	return nil
}

// keep replaces what was kept in the same place, and what nobody asked for since.
func (p *ServicePort) keep(k kept) *kept {
	if old := p.find(k.site, k.key, k.index); old != nil {
		if old.text == k.text {
			k.text = old.text // so that whoever compares is done at once
		}
		*old = k
		return old
	}
	p.kept = slices.DeleteFunc(p.kept, func(old kept) bool { return old.run+keepRuns < k.run })
	p.kept = append(p.kept, k)
	return &p.kept[len(p.kept)-1]
}
