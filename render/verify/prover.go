package verify

import (
	"context"
	"maps"
	"slices"

	"weft/render/verify/nfnl"
	"weft/state"
)

// Prover proves the rules of some tables again and again, in proportion to what
// changed since the last proof.
//
// It keeps the rules as it read them, and of each walk what that met: which
// chains, which keys of which sets. When transactions touched something, only
// that is read again, and only those questions are asked again whose walks met
// it or whose ServicePort is another. All others have the same answer as before,
// because a walk depends on nothing but what it meets. So a proof of what changed
// is a proof of everything, as long as nothing was changed unheard.
type Prover struct {
	reader *Reader
	tables []TableID

	rs *Ruleset // nil while it is not known
	// What was proven last; state is nil while nothing is.
	state  *state.State
	want   Want
	index  *index
	others []*other
	// touched is what was read again since then.
	touched Touched
}

// NewProver is a Prover that knows nothing yet.
func NewProver(reader *Reader, tables []TableID) *Prover {
	return &Prover{reader: reader, tables: tables}
}

// Read reads all tables. What was proven before counts no more.
func (p *Prover) Read(ctx context.Context) error {
	p.Forget()
	rs, err := p.reader.Read(ctx, p.tables)
	if err != nil {
		return err
	}
	p.rs = rs
	return nil
}

// Adopt takes what was read of the same tables for read. What was proven before counts no
// more.
func (p *Prover) Adopt(rs *Ruleset) {
	p.Forget()
	p.rs = rs
}

// Forget lets go of everything that is known.
func (p *Prover) Forget() { p.rs, p.state, p.index, p.others, p.touched = nil, nil, nil, nil, nil }

// Generation is that of the kernel when it was read last; false if nothing is
// known.
func (p *Prover) Generation() (uint32, bool) {
	if p.rs == nil {
		return 0, false
	}
	return p.rs.Generation, true
}

// Latest is the kernel's generation now.
func (p *Prover) Latest(ctx context.Context) (uint32, error) {
	return p.reader.Latest(ctx)
}

// Requests is how many requests the Prover has sent to the kernel.
func (p *Prover) Requests() int { return p.reader.Requests() }

// Refresh reads what was touched, as [Reader.Refresh] does, and tells what is not
// as it was. After an error nothing is known.
func (p *Prover) Refresh(ctx context.Context, touched Touched) ([]Change, error) {
	if p.rs == nil {
		return nil, ErrWhole
	}
	touched = p.named(touched)
	changes, err := p.reader.Refresh(ctx, p.rs, touched)
	if err != nil {
		p.Forget()
		return nil, err
	}
	if p.touched == nil {
		p.touched = Touched{}
	}
	for id, t := range touched {
		if p.touched[id] == nil {
			p.touched[id] = &nfnl.Touched{}
		}
		p.touched[id].Add(t)
	}
	return changes, nil
}

// named leaves out the sets that belonged to rules: the kernel tells of their end
// without saying what they were, and they go and come with their chains.
func (p *Prover) named(touched Touched) Touched {
	kept := Touched{}
	for id, what := range touched {
		t := p.rs.find(id)
		if t == nil || what.Whole {
			kept[id] = what
			continue
		}
		left := *what
		left.Sets = maps.Clone(what.Sets)
		maps.DeleteFunc(left.Sets, func(name string, _ *nfnl.TouchedSet) bool {
			s := t.sets[name]
			return s != nil && s.Flags&nfnl.SetAnonymous != 0
		})
		kept[id] = &left
	}
	return kept
}

// Describe tells of what was touched whether the kernel holds it, as if all of it
// had changed, the heads of base chains too. A table that was touched as a whole
// is left out.
func (p *Prover) Describe(touched Touched) (changes []Change) {
	for id, what := range touched {
		t := p.rs.find(id)
		if t == nil {
			continue
		}
		for name := range what.Chains {
			c := t.chains[name]
			changes = append(changes, Change{Table: id, Chain: name, Gone: c == nil, Head: c != nil && c.Hook != nil})
		}
		for name, keys := range what.Sets {
			s := t.sets[name]
			if keys.Whole || s == nil {
				changes = append(changes, Change{Table: id, Set: name, Gone: s == nil, Map: s != nil && s.Flags&nfnl.SetMap != 0})
				continue
			}
			for key := range keys.Keys {
				changes = append(changes, Change{Table: id, Set: name, Key: []byte(key), Gone: s.at(key) == none})
			}
		}
	}
	return changes
}

// Check proves the rules as they were read last, as the function [Check] does. Its
// report is about what may have changed since the last proof; a nil report means
// that nothing was read.
func (p *Prover) Check(st *state.State, want Want) *Report {
	if p.rs == nil {
		return nil
	}
	c := newChecker(p.rs, st, want)
	if parts, ok := p.affected(st, want); ok {
		p.checkParts(c, parts)
	} else {
		p.checkAll(c)
	}
	p.touched = nil
	if p.state, p.want = st, want; !c.report.OK() {
		p.state = nil
	}
	return c.report
}

func (p *Prover) checkAll(c *checker) {
	p.index = indexed(c.st.ServicePorts, c.servicePorts(c.st.ServicePorts))
	c.inStep(p.index, c.st.ServicePorts)
	p.others = c.others()
	for _, o := range p.others {
		c.alone(o, c.free(o))
		o.met = compact(c.walker.takeMet())
	}
	if !p.allMet() {
		c.unreachable()
	}
}

// allMet reports whether a walk came to each chain, which is then reachable.
func (p *Prover) allMet() bool {
	for _, t := range p.rs.tables {
		for _, ch := range t.chains {
			if !p.met(ch.mark) {
				return false
			}
		}
	}
	return true
}

func (p *Prover) met(m mark) bool {
	if p.index.met(m) {
		return true
	}
	for _, o := range p.others {
		if _, ok := slices.BinarySearch(o.met, m); ok {
			return true
		}
	}
	return false
}
