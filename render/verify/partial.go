package verify

import (
	"slices"

	"weft/render/verify/nfnl"
	"weft/state"
)

// parts are what has to be asked again after a change.
type parts struct {
	// came and gone are the ServicePorts that one state alone has; a changed one is
	// in both.
	came, gone []*state.ServicePort
	// ask are those to ask about: those that came, and others whose walks met
	// something that was touched.
	ask []*state.ServicePort
	// chains and keys are the marks of what was touched.
	chains, keys []mark
	// focus are sets with the keys that were touched.
	focus []*focus
	// named are the chains that were touched.
	named []*chain
}

// focus is a set of which only some keys matter.
type focus struct {
	set  *set
	keys map[string]bool
}

// affected finds out what has to be asked again; false is everything.
func (p *Prover) affected(st *state.State, want Want) (*parts, bool) {
	if p.state == nil || want != p.want || st.Node != p.state.Node || !slices.Equal(st.Addresses, p.state.Addresses) {
		return nil, false
	}
	a := &parts{}
	a.gone, a.came = state.DifferenceFunc(p.state.ServicePorts, st.ServicePorts, p.renews)
	if want.Masquerade == MasqueradeRemote && !slices.Equal(localAddresses(a.came, st.Node), localAddresses(a.gone, st.Node)) {
		return nil, false // who is local is a question of all together
	}
	for id, t := range p.touched {
		if !a.touch(p.rs.find(id), t) {
			return nil, false
		}
	}
	return a, p.concerned(a)
}

// renews puts a record in the place of one that asks for the same: its answers are
// the same, since what explains a share is no question.
func (p *Prover) renews(before, after *state.ServicePort) bool {
	if before == after {
		return true
	}
	same := before.AsksTheSame(after)
	if same {
		p.index.rename(before, after)
	}
	return same
}

// concerned finds the ServicePorts to ask about; false if they are too many.
func (p *Prover) concerned(a *parts) bool {
	ask := map[*state.ServicePort]bool{}
	for _, sp := range a.came {
		ask[sp] = true
	}
	for _, m := range slices.Concat(a.chains, a.keys) {
		list, many := p.index.of(m)
		if many {
			return false
		}
		for _, sp := range list {
			ask[sp] = true
		}
	}
	for _, sp := range a.gone {
		delete(ask, sp)
	}
	for sp := range ask {
		a.ask = append(a.ask, sp)
	}
	slices.SortFunc(a.ask, (*state.ServicePort).Compare)
	return len(a.ask) <= tooMany
}

// touch takes down what was touched in a table; false if that is of a kind that
// may matter to everything.
func (a *parts) touch(t *table, touched *nfnl.Touched) bool {
	if t == nil || touched.Whole {
		return false
	}
	for name := range touched.Chains {
		if c := t.chains[name]; c != nil {
			if c.Hook != nil {
				return false
			}
			a.named = append(a.named, c)
		}
		a.chains = append(a.chains, chainMark(t.id(), name))
	}
	for name, what := range touched.Sets {
		s := t.sets[name]
		if s == nil || what.Whole || !s.exactKeys() {
			return false
		}
		for key := range what.Keys {
			a.keys = append(a.keys, s.mark.keyText(key))
		}
		a.focus = append(a.focus, &focus{s, what.Keys})
	}
	return true
}

// localAddresses are those of the endpoints on the node, each once, sorted.
func localAddresses(list []*state.ServicePort, node string) []string {
	var all []string
	for _, sp := range list {
		for _, e := range sp.Endpoints {
			if sp.Steered() && e.Node == node {
				all = append(all, e.Address.String())
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// checkParts asks again what has to be asked.
func (p *Prover) checkParts(c *checker, a *parts) {
	lost := false
	left := func(m mark) { lost = lost || m.isChain() && !slices.Contains(a.chains, m) }
	for _, sp := range a.gone {
		p.index.drop(sp, left)
	}
	for i, met := range c.servicePorts(a.ask) {
		p.index.drop(a.ask[i], left)
		p.index.set(a.ask[i], met)
	}
	c.inStep(p.index, a.ask)
	for _, o := range p.others {
		p.checkOther(c, o, a)
	}
	for _, ch := range a.named {
		lost = lost || !p.met(ch.mark)
	}
	if lost {
		c.unreachable()
	}
}

// checkOther asks about a class of packets that must be left alone: about all of
// them if their walk met a chain that was touched, else about the ports that
// nobody has any more, and about the packets whose keys were touched.
func (p *Prover) checkOther(c *checker, o *other, a *parts) {
	if o.metAny(a.chains) || o.metAny(a.keys) {
		c.alone(o, c.free(o))
		o.met = compact(c.walker.takeMet())
		return
	}
	if ports := a.released(c.st, o); !ports.empty() {
		c.alone(o, ports)
	}
	for _, f := range a.focus {
		if o.metAny([]mark{f.set.mark}) {
			c.walker.focus = f
			c.alone(o, c.free(o))
			c.walker.focus = nil
		}
	}
	if met := c.walker.takeMet(); len(met) > 0 {
		o.met = compact(append(met, o.met...))
	}
}

func (o *other) metAny(list []mark) bool {
	return slices.ContainsFunc(list, func(m mark) bool {
		_, ok := slices.BinarySearch(o.met, m)
		return ok
	})
}

// released are the ports of a class that a ServicePort had.
func (a *parts) released(st *state.State, o *other) domain {
	if o.protocol == "" {
		return nil
	}
	var list []uint16
	for _, sp := range a.gone {
		if sp.Protocol == o.protocol && (!o.steered || sp.Steered()) && !slices.ContainsFunc(a.came, func(n *state.ServicePort) bool {
			return n.Protocol == sp.Protocol && n.NodePort == sp.NodePort && (!o.steered || n.Steered())
		}) {
			list = append(list, sp.NodePort)
		}
	}
	return ports(list...)
}
