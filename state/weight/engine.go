package weight

import (
	"hash/fnv"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"weft/state"
)

// Engine makes shares of measurements, again and again. It is not for concurrent
// use. Make one with [New].
type Engine struct {
	config   Config
	nodes    map[string]*node
	services map[key]*service
	order    []*service // as the ServicePorts of the last step
	random   *rand.Rand
	scratch  scratch
	begun    time.Time // the first step
	last     time.Time // step of the slow loop
	next     time.Time
	doubt    bool // most nodes do not answer, which is not believed
	turned   bool // a node went out or came back in this step
	other    bool // there are other nodes or rules than in the step before
	epochs   epochs
	sees     bool      // connections could be seen in the step before
	looked   time.Time // when those were counted
	change   uint64    // as [Connections] had it then,
	changed  time.Time // and since when it is that
	// unchanged is whether none has changed since, and awake how many ServicePorts have
	// something for the guard to see.
	unchanged bool
	awake     int
	lull      lull
	lulls     bool // it lasts in this step
}

// key names a ServicePort.
type key struct {
	namespace, name, port string
	protocol              state.Protocol
}

// New is an engine for the node with the given name. The name is the seed of the
// phase and jitter of its loops, so that agents do not move together.
func New(c Config, name string) *Engine {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	return &Engine{
		config: c.sound(), nodes: map[string]*node{}, services: map[key]*service{},
		random: rand.New(rand.NewPCG(h.Sum64(), 0)),
	}
}

// SetConfig is for a configuration that was read again. Shares go from where they
// are to where it sends them, as fast as a step may go.
func (e *Engine) SetConfig(c Config) {
	if c = c.sound(); !reflect.DeepEqual(c, e.config) {
		e.config, e.other = c, true
	}
}

// Inputs are what a step goes by.
type Inputs struct {
	// State is what was gathered, with what was measured in its nodes.
	State *state.State
	// Before is what the state file held when the agent started; nil for
	// nothing. The first step takes shares, trims and cuts over from it, if it is
	// young enough. Later ones do not look at it.
	Before *state.State
	// Connections are nil where they cannot be seen.
	Connections *Connections
}

// Step is the state with the shares that are due now, and when to come again.
// What did not change has the pointers of the step before.
func (e *Engine) Step(now time.Time, in Inputs) (*state.State, time.Duration) {
	next := *in.State
	next.Nodes = sane(in.State.Nodes)
	doubted := e.doubt
	e.observe(next.Nodes, now)
	if e.begun.IsZero() {
		e.begin(in.Before, now)
	}
	slow := e.isDue(now)
	e.notice(in.Connections, doubted, now)
	next.ServicePorts = e.stepAll(in, now, slow)
	e.other = false
	if slow {
		e.last = now
		e.forget(now)
	}
	return &next, e.wait(in.Connections, now)
}

// wait is until the slow loop should run, or the guard should look, if there is one: always
// where nobody tells whether connections changed.
func (e *Engine) wait(c *Connections, now time.Time) time.Duration {
	wait := max(0, e.next.Sub(now))
	if c != nil && (c.Change == 0 || e.awake > 0 || now.Sub(e.changed) < 2*guardTick) {
		return min(wait, guardTick)
	}
	return wait
}

// stepAll is a step of all ServicePorts.
func (e *Engine) stepAll(in Inputs, now time.Time, slow bool) []*state.ServicePort {
	c := in.Connections
	e.awake, e.unchanged = 0, c != nil && c.Change != 0 && c.Change == e.change
	list := e.lull.published
	if e.lulls = e.lull.lasts(e, in.State.ServicePorts, now); !e.lulls {
		list = e.stepEach(in, now, slow)
	}
	if c != nil {
		e.looked = c.At
		if e.change != c.Change {
			e.change, e.changed = c.Change, now
		}
	}
	return list
}

// stepEach is a step of each ServicePort. The one that is where it was is not looked
// up by its name.
func (e *Engine) stepEach(in Inputs, now time.Time, slow bool) []*state.ServicePort {
	list, c := slices.Clone(in.State.ServicePorts), in.Connections
	e.lull = lull{gathered: in.State.ServicePorts, published: list, epochs: e.epochs, holds: true}
	e.order = append(e.order[:min(len(e.order), len(list))], make([]*service, max(0, len(list)-len(e.order)))...)
	for i, p := range list {
		if !p.Steered() {
			continue
		}
		if s := e.order[i]; s == nil || s.gathered != p {
			e.order[i] = e.service(p)
		}
		list[i] = e.stepOne(e.order[i], p, c, now, slow)
		e.lull.take(&e.order[i].still)
	}
	return list
}

// stepOne leaves out the step of a ServicePort at rest.
func (e *Engine) stepOne(s *service, p *state.ServicePort, c *Connections, now time.Time, slow bool) *state.ServicePort {
	if e.rests(s, p, c, now) {
		s.seen = now
		return s.published
	}
	e.scratch.clear()
	if s.still.holds && s.guard.ticks > 0 {
		s.guard.at = e.looked // it was not looked at, since there was nothing to see
	}
	s.still.holds = false
	published := e.step(s, p, c, now, slow)
	if s.guard.ticks > 0 && !s.guard.isAsleep() {
		e.awake++
	}
	return published
}

// begin puts the first run of the slow loop anywhere in its tick.
func (e *Engine) begin(before *state.State, now time.Time) {
	e.begun, e.last = now, now
	e.next = now.Add(time.Duration(e.random.Float64() * float64(e.tick())))
	e.restore(before, now)
}

// isDue reports whether the slow loop should run, and when it should the next
// time: every tick is a little longer or shorter.
func (e *Engine) isDue(now time.Time) bool {
	if now.Before(e.next) && e.next.Sub(now) <= 2*slowTick { // else the clock went back
		return false
	}
	e.next = now.Add(time.Duration((1 - jitter + 2*jitter*e.random.Float64()) * float64(e.tick())))
	return true
}

// tick is shorter where CPU use is fresh.
func (e *Engine) tick() time.Duration {
	peers, all := 0, 0
	for _, n := range e.nodes {
		if n.cpu.fresh {
			all++
			if n.cpu.peer {
				peers++
			}
		}
	}
	if 2*peers > all {
		return peerTick
	}
	return slowTick
}

// forget drops what has been gone for long.
func (e *Engine) forget(now time.Time) {
	for name, n := range e.nodes {
		if now.Sub(n.seen) > memory {
			delete(e.nodes, name)
			e.other = true
		}
	}
	if e.lulls {
		return // none was looked at
	}
	for k, s := range e.services {
		s.forget(now)
		if now.Sub(s.seen) > memory {
			delete(e.services, k)
		}
	}
}

// step is one ServicePort with its shares.
func (e *Engine) step(s *service, p *state.ServicePort, c *Connections, now time.Time, slow bool) *state.ServicePort {
	policy := e.policyOf(p)
	news := s.gathered != p || s.policy != policy
	s.policy, s.seen = policy, now
	if s.gathered != p {
		s.gather(p, now)
	}
	moved := false
	if (news || e.turned || e.other || slow && s.young) && s.rebase(e, now) {
		s.rebound(e.config)
		moved = true
	}
	if slow {
		moved = s.move(e, now) || moved
	}
	looked := s.stepGuard(e.connectionsFor(s, c), e.unchanged, e.config.RequestTime.Seconds(), now)
	if !news && !slow && !moved && !looked {
		return s.published
	}
	moved = s.apply(e.config, moved) || moved
	if news || moved || slow {
		s.note(now)
	}
	if news || moved || slow || looked {
		s.publish(e, news || moved, now)
	}
	if slow {
		s.settleDown(e, moved)
	}
	return s.published
}

func (e *Engine) service(p *state.ServicePort) *service {
	k := key{p.Namespace, p.Name, p.Port, p.Protocol}
	s := e.services[k]
	if s == nil {
		s = &service{scratch: &e.scratch, gone: map[group]*member{}}
		e.services[k] = s
	}
	return s
}

func (e *Engine) policyOf(p *state.ServicePort) state.Policy {
	if p.Policy != "" {
		return p.Policy
	}
	return e.config.Policy
}

// connectionsFor leaves out what the guard must not judge: a policy that does not
// look at load, and UDP, whose connections end when nobody speaks any more.
func (e *Engine) connectionsFor(s *service, c *Connections) *Connections {
	if !e.config.Guard || !usesLoad(s.policy) || s.gathered.Protocol != state.TCP {
		return nil
	}
	return c
}

func usesLatency(p state.Policy) bool {
	return p == state.PolicyLatency || p == state.PolicyLatencyCPU || p == state.PolicyLocal
}

func usesLoad(p state.Policy) bool {
	return p == state.PolicyCPU || p == state.PolicyLatencyCPU || p == state.PolicyLocal
}
