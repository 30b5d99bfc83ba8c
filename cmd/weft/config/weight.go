package config

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"weft/state"
	"weft/state/weight"
)

// Weight is how measurements become shares.
type Weight struct {
	Policy      string      `yaml:"policy"`
	BaseWeights string      `yaml:"baseWeights"`
	NodeWeights NodeWeights `yaml:"nodeWeights"`
	RequestTime Duration    `yaml:"requestTime"`
	CPUKnee     float64     `yaml:"cpuKnee"`
	Floor       float64     `yaml:"floor"`
	Hysteresis  float64     `yaml:"hysteresis"`
	StepLimit   float64     `yaml:"stepLimit"`
	SlowStart   Duration    `yaml:"slowStart"`
	Guard       bool        `yaml:"guard"`
}

func weightKeys() []Key {
	var policies []string
	for _, p := range state.Policies() {
		policies = append(policies, string(p))
	}
	var bases []string
	for _, b := range weight.Bases() {
		bases = append(bases, string(b))
	}
	d := weight.Default()
	return []Key{
		choice("policy", string(d.Policy), "how shares are chosen where a Service does not say", func(c *Config) *string { return &c.Weight.Policy }, policies...),
		choice("baseWeights", string(d.Base), "what counts alike before anything is measured: each endpoint, each node whose endpoints share that, or each core of their nodes", func(c *Config) *string { return &c.Weight.BaseWeights }, bases...),
		parsed("nodeWeights", "", "weights of nodes such as `node-1=2,node-2=0.5`, for all Services, which multiply those of endpoints; the others have 1; 0 drains", func(c *Config) *NodeWeights { return &c.Weight.NodeWeights }),
		parsed("requestTime", d.RequestTime.String(), "time that a typical request takes apart from the way there; the larger, the less the way counts", func(c *Config) *Duration { return &c.Weight.RequestTime }),
		number("cpuKnee", d.Knee, "CPU use below which all nodes are alike, 0.01 to 1", 0.01, 1, func(c *Config) *float64 { return &c.Weight.CPUKnee }),
		number("floor", d.Floor, "least part of its base share that a reachable node gets, 0 to 1", 0, 1, func(c *Config) *float64 { return &c.Weight.Floor }),
		number("hysteresis", d.Hysteresis, "part of the traffic that a new target must move to be worth other rules, 0 to 1", 0, 1, func(c *Config) *float64 { return &c.Weight.Hysteresis }),
		number("stepLimit", d.StepLimit, "part of the traffic that moves in 10s at most, 0 to 1", 0, 1, func(c *Config) *float64 { return &c.Weight.StepLimit }),
		parsed("slowStart", d.SlowStart.String(), "how long a new endpoint gets less than its share; 0 is never", func(c *Config) *Duration { return &c.Weight.SlowStart }),
		boolean("guard", strconv.FormatBool(d.Guard), "cut the share of nodes whose connections stay open for long, where conntrack can be read (CAP_NET_ADMIN); to switch it on takes a restart", func(c *Config) *bool { return &c.Weight.Guard }),
	}
}

// NodeWeights are weights of nodes by name, written as node-1=2,node-2=0.5.
type NodeWeights map[string]float64

// UnmarshalText reads weights; there may be none.
func (n *NodeWeights) UnmarshalText(text []byte) error {
	*n = nil
	for pair := range strings.SplitSeq(string(text), ",") {
		if pair = strings.TrimSpace(pair); pair == "" && strings.TrimSpace(string(text)) == "" {
			return nil
		}
		name, number, _ := strings.Cut(pair, "=")
		v, err := strconv.ParseFloat(number, 64)
		if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 || err != nil || !(v >= 0) || math.IsInf(v, 0) {
			return fmt.Errorf("%q is no weight of a node", pair)
		}
		if _, again := (*n)[name]; again {
			return fmt.Errorf("two weights of %s", name)
		}
		if *n == nil {
			*n = NodeWeights{}
		}
		(*n)[name] = v
	}
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (n NodeWeights) MarshalText() ([]byte, error) {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(n)) {
		pairs = append(pairs, name+"="+strconv.FormatFloat(n[name], 'g', -1, 64))
	}
	return []byte(strings.Join(pairs, ",")), nil
}

func (n NodeWeights) String() string {
	text, _ := n.MarshalText() // never fails
	return string(text)
}

// Expected says in words what UnmarshalText takes.
func (NodeWeights) Expected() string {
	return "weights of nodes from 0 on, each node once, such as node-1=2,node-2=0.5"
}

// Config is the same as the engine takes it.
func (w Weight) Config() weight.Config {
	c := weight.Default()
	c.Base, c.NodeWeights = weight.Base(w.BaseWeights), w.NodeWeights
	c.Policy, c.RequestTime, c.Knee = state.Policy(w.Policy), time.Duration(w.RequestTime), w.CPUKnee
	c.Floor, c.Hysteresis, c.StepLimit = w.Floor, w.Hysteresis, w.StepLimit
	c.SlowStart, c.Guard = time.Duration(w.SlowStart), w.Guard
	return c
}

func number(name string, value float64, doc string, least, most float64, field func(*Config) *float64) Key {
	return Key{
		Name: name, Default: strconv.FormatFloat(value, 'g', -1, 64), Doc: doc,
		set: func(c *Config, s string) error {
			v, err := strconv.ParseFloat(s, 64)
			if err != nil || !(v >= least && v <= most) {
				return fmt.Errorf("%s: got %q, expected a number from %v to %v", name, s, least, most)
			}
			*field(c) = v
			return nil
		},
		get: func(c *Config) any { return *field(c) },
	}
}
