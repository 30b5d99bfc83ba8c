package state

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"strings"

	"weft/state/strict"
)

// Factor is what one node's share of a ServicePort was made of: the target is the
// base weight of the node's endpoints times all factors, in proportion.
type Factor struct {
	// Node is the name of the node. Endpoints of which no node is known stand
	// each for a node of its own, and then Address is the endpoint's.
	Node    string
	Address netip.Addr
	// Base is the share that the weights alone give, above 0 and up to 1. It is nil
	// where that is none: the node does not answer, or is drained.
	Base *float64
	// Latency is 1 for the nearest node and less for the others, above 0. It is
	// nil where the policy does not look at latency.
	Latency *float64
	// Trim is above 1 for a node that has CPU to spare while others are hot and
	// below 1 for the hot ones. It is nil where the policy does not look at load.
	Trim *float64
	// Guard is below 1 while the node's connections stay open longer than those
	// of the others, above 0. It is nil where connections are not looked at.
	Guard *float64
	// Target is the node's share if nothing held it back, 0 to 1.
	Target float64
	// Share is what the node's endpoints have together, 0 to 1. Where there are
	// endpoints of both address families it is the mean of both.
	Share float64
}

// Policy is a way to choose shares.
type Policy string

// The policies; package weight has their formulas.
const (
	PolicyEqual      Policy = "equal"
	PolicyStatic     Policy = "static"
	PolicyLatency    Policy = "latency"
	PolicyCPU        Policy = "cpu"
	PolicyLatencyCPU Policy = "latency-cpu"
	PolicyLocal      Policy = "local"
)

// Policies lists all policies, the default first.
func Policies() []Policy {
	return []Policy{PolicyLatencyCPU, PolicyLatency, PolicyCPU, PolicyLocal, PolicyStatic, PolicyEqual}
}

// Known reports whether p is one of [Policies].
func (p Policy) Known() bool { return slices.Contains(Policies(), p) }

const expectedPolicy = "latency-cpu, latency, cpu, local, static or equal"

// Hold is a reason why shares are not their targets.
type Hold string

// The reasons. More than one may hold at a time.
const (
	// HoldHysteresis: the target is too near to be worth another rule.
	HoldHysteresis Hold = "hysteresis"
	// HoldStep: one step moves only so much.
	HoldStep Hold = "step"
	// HoldBlackout: a node is measured for too short a time to be judged by it.
	HoldBlackout Hold = "blackout"
	// HoldStale: measurements of a node are missing or too old.
	HoldStale Hold = "stale"
	// HoldPanic: so many nodes have no fresh measurements, or do not answer,
	// that it is rather this node's own fault, so they are not looked at.
	HoldPanic Hold = "panic"
	// HoldSlowStart: an endpoint is new and gets less at first.
	HoldSlowStart Hold = "slow-start"
)

func holds() []Hold {
	return []Hold{HoldBlackout, HoldHysteresis, HoldPanic, HoldSlowStart, HoldStale, HoldStep}
}

const expectedHold = "blackout, hysteresis, panic, slow-start, stale or step"

func compareFactors(a, b *Factor) int {
	return cmp.Or(strings.Compare(a.Node, b.Node), a.Address.Compare(b.Address))
}

func equalFactors(a, b Factor) bool {
	return a.Node == b.Node && a.Address == b.Address && equalNumbers(a.Base, b.Base) && equalNumbers(a.Latency, b.Latency) && equalNumbers(a.Trim, b.Trim) &&
		equalNumbers(a.Guard, b.Guard) && a.Target == b.Target && a.Share == b.Share
}

func equalEndpoints(a, b Endpoint) bool {
	return sameShare(a, b) && equalNumbers(a.Weight, b.Weight)
}

func equalNumbers(a, b *float64) bool { return a == b || a != nil && b != nil && *a == *b }

func checkFactors(p *ServicePort, r report) {
	for i, h := range p.Held {
		switch {
		case !slices.Contains(holds(), h):
			r.got(index("held", i), strict.Quote(string(h)), expectedHold)
		case slices.Contains(p.Held[:i], h):
			r(index("held", i), "got "+string(h)+" again")
		}
	}
	for i := range p.Factors {
		checkFactor(&p.Factors[i], index("factors", i), r)
	}
	if isStrictlySortedFunc(p.Factors, compareFactors) {
		return
	}
	type place struct {
		node    string
		address netip.Addr
	}
	seen := make(map[place]int, len(p.Factors))
	for i, f := range p.Factors {
		if first := remember(seen, place{f.Node, f.Address}, i); first < i {
			r(index("factors", i), "got the node of "+index("factors", first)+" again")
		}
	}
}

func checkFactor(f *Factor, path string, r report) {
	switch {
	case f.Node == "" && !f.Address.IsValid():
		r(path, "neither node nor address, expected one of them")
	case f.Node == "" && !isUnicast(f.Address):
		r.got(path+".address", f.Address.String(), expectedAddress)
	case f.Node != "" && f.Address.IsValid():
		r(path+".address", "got an address beside a node, expected one of them")
	case f.Node != "" && !isSubdomain(f.Node):
		r.got(path+".node", strict.Quote(f.Node), expectedSubdomain)
	}
	checkNumber(f.Base, 1, path+".base", r)
	checkNumber(f.Latency, 1, path+".latency", r)
	checkNumber(f.Trim, math.MaxFloat64, path+".trim", r)
	checkNumber(f.Guard, 1, path+".guard", r)
	if !isFraction(f.Target) {
		r.got(path+".target", float(f.Target), expectedFraction)
	}
	if !isFraction(f.Share) {
		r.got(path+".share", float(f.Share), expectedFraction)
	}
}

// checkNumber takes a factor above 0 and up to most, or none.
func checkNumber(v *float64, most float64, path string, r report) {
	switch {
	case v == nil || *v > 0 && *v <= most:
	case most == 1:
		r.got(path, float(*v), "a number above 0 and up to 1")
	default:
		r.got(path, float(*v), "a number above 0")
	}
}

const expectedFraction = "a number from 0 to 1"

func isFraction(v float64) bool { return v >= 0 && v <= 1 }
