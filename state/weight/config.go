package weight

import (
	"time"

	"weft/state"
)

// Config is what a user may choose. [Default] has the values that were chosen in
// a simulation; see examples/simulate.
type Config struct {
	// Policy is that of ServicePorts that name none.
	Policy state.Policy
	// Base is what the weights of endpoints are multiplied with.
	Base Base
	// NodeWeights are multiplied with those of the endpoints on a node, too, by the
	// node's name; a node that is not there has 1, and 0 drains it.
	NodeWeights map[string]float64
	// RequestTime is the time that a typical request takes apart from the way
	// there, above 0: a difference of the way is judged beside it.
	RequestTime time.Duration
	// Knee is the CPU use, above 0 and up to 1, below which all nodes are alike.
	Knee float64
	// Floor is the least part of its base share that a reachable node gets, 0 to
	// 1. At 1 all policies are the policy static.
	Floor float64
	// Ceiling is the greatest multiple of its base share that a node gets, at
	// least 1.
	Ceiling float64
	// Hysteresis is the part of the traffic, 0 to 1, that a new target must move
	// to be worth another rule.
	Hysteresis float64
	// StepLimit is the part of the traffic, 0 to 1, that moves in ten seconds at
	// most, apart from what a cut moves.
	StepLimit float64
	// SlowStart is how long a new endpoint gets less than its weight; 0 is never.
	SlowStart time.Duration
	// Guard is whether connections that stay open for long cut a node's share.
	Guard bool
}

// Base is what endpoints count for before anything is measured.
type Base string

const (
	// BaseEndpoint counts each endpoint as one.
	BaseEndpoint Base = "endpoint"
	// BaseNode counts each node as one: its endpoints share that.
	BaseNode Base = "node"
	// BaseCores counts each node as its cores; one of which they are not known
	// counts as the median of the others.
	BaseCores Base = "cores"
)

// Bases lists them, the default first.
func Bases() []Base { return []Base{BaseEndpoint, BaseNode, BaseCores} }

// Default is the Config that needs no choice.
func Default() Config {
	return Config{
		Policy: state.PolicyLatencyCPU, Base: BaseEndpoint, RequestTime: 5 * time.Millisecond, Knee: 0.5, Floor: 0.1, Ceiling: 1e6,
		Hysteresis: 0.02, StepLimit: 0.1, SlowStart: 30 * time.Second, Guard: true,
	}
}

// sound is the Config with the nearest values that make sense.
func (c Config) sound() Config {
	if !c.Policy.Known() {
		c.Policy = state.PolicyLatencyCPU
	}
	c.RequestTime = max(c.RequestTime, time.Microsecond)
	c.Knee = within(c.Knee, 0.01, 1)
	c.Floor = within(c.Floor, 0, 1)
	c.Ceiling = within(c.Ceiling, 1, 1e6)
	c.Hysteresis = within(c.Hysteresis, 0, 1)
	c.StepLimit = within(c.StepLimit, 0, 1)
	return c
}

// within takes NaN for the least.
func within(v, least, most float64) float64 {
	if !(v >= least) {
		return least
	}
	return min(v, most)
}

// What is not for users to choose: these belong together.
const (
	peerTick      = 5 * time.Second  // of the slow loop, where CPU use comes from peers
	slowTick      = 10 * time.Second // and where it does not
	jitter        = 0.1              // of a tick, either way
	guardTick     = time.Second
	matureRounds  = 3 // of probing, before a latency counts
	matureAge     = 10 * time.Second
	matureSamples = 2               // of CPU use, before it counts
	latencyExpiry = 5 * time.Minute // probers take stale ones back themselves
	cpuExpiry     = time.Minute
	grace         = time.Minute // after a start, for the first measurements to come
	maxClockSkew  = time.Minute
	memory        = 10 * time.Minute   // of what is gone, and of a state file
	trimLimit     = 1.3862943611198906 // ln 4
	trimTime      = 20 * time.Second   // in which a trim goes 63 % of its way
	sampleLeak    = 0.02               // of a trim, with each sample: agents that drew apart meet again
	leak          = 0.0005             // of a trim, for each second without any
	maxInterval   = 30 * time.Second   // between two samples: what a longer silence meant nobody knows
	nearby        = 0.001              // seconds of latency that policy local overlooks
	mostWeight    = 1e300              // of an endpoint, so that it times its cores is still a number
	leastRamp     = 0.1                // of a new endpoint's weight
	returnRamp    = 1 / 3.0            // of the weight of one whose node answers again
	noDistance    = 0.002              // of two lists of shares that are the same to a reader
	noDifference  = 1e-6               // of two that differ by rounding alone
)

const (
	sourcePeer = "peer"
	sourceHTTP = "http"
)
