package kube

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/hashicorp/go-multierror"
	corev1 "k8s.io/api/core/v1"

	"weft/state"
)

// The annotations of a Service that weft reads.
const (
	annotationPrefix  = "weft/"
	annotationSteer   = annotationPrefix + "steer"
	annotationPolicy  = annotationPrefix + "policy"
	annotationWeights = annotationPrefix + "weights"
)

// wish is what the annotations of a Service ask for.
type wish struct {
	leave   bool // weft should not steer it
	policy  state.Policy
	weights weights
}

// readAnnotations reads those of weft, and reports all that is wrong with them. A
// name that weft does not know is an error, since it is most likely misspelled.
func readAnnotations(all map[string]string) (wish, error) {
	var w wish
	var problems *multierror.Error
	for _, name := range []string{annotationSteer, annotationPolicy, annotationWeights} {
		value, ok := all[name]
		if !ok {
			continue
		}
		if err := w.set(name, value); err != nil {
			problems = multierror.Append(problems, fmt.Errorf("annotation %s: %w", name, err))
		}
	}
	if name := unknown(all); name != "" {
		problems = multierror.Append(problems, fmt.Errorf("annotation %s: unknown; known are %s, %s and %s", name, annotationSteer, annotationPolicy, annotationWeights))
	}
	if problems != nil {
		problems.ErrorFormat = oneLine
	}
	return w, problems.ErrorOrNil()
}

func oneLine(errs []error) string {
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// unknown is the first, by name, of the annotations that look like weft's.
func unknown(all map[string]string) (first string) {
	for name := range all {
		switch {
		case name == annotationSteer || name == annotationPolicy || name == annotationWeights:
		case strings.HasPrefix(name, annotationPrefix) && (first == "" || name < first):
			first = name
		}
	}
	return first
}

func (w *wish) set(name, value string) (err error) {
	switch name {
	case annotationSteer:
		steer, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("got %q, expected true or false", value)
		}
		w.leave = !steer
	case annotationPolicy:
		if w.policy = state.Policy(value); !w.policy.Known() {
			w.policy = ""
			return fmt.Errorf("got %q, expected one of %s", value, policies())
		}
	case annotationWeights:
		w.weights, err = parseWeights(value)
	}
	return err
}

func policies() string {
	var names []string
	for _, p := range state.Policies() {
		names = append(names, string(p))
	}
	return strings.Join(names, ", ")
}

// weights are the base weights of endpoints, in the order of the annotation.
type weights []weightRule

// weightRule gives a weight to the endpoints of an address, of a node with the
// name, or of all nodes with the label. Exactly one of them is set.
type weightRule struct {
	address    netip.Addr
	node       string
	key, value string
	weight     float64
}

const expectedWeight = "ADDRESS=WEIGHT, NODE=WEIGHT or LABEL=VALUE=WEIGHT, separated by commas or spaces"

// parseWeights reads such as "10.42.1.7=0, node-1=2, disk=ssd=1.5". The weight is
// what follows the last =.
func parseWeights(text string) (weights, error) {
	var all weights
	var problems *multierror.Error
	fields := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) })
	for _, field := range fields {
		rule, err := parseWeight(field)
		problems = multierror.Append(problems, err)
		all = append(all, rule)
	}
	if len(fields) == 0 {
		problems = multierror.Append(problems, fmt.Errorf("got nothing, expected %s", expectedWeight))
	}
	problems.ErrorFormat = oneLine
	if err := problems.ErrorOrNil(); err != nil {
		return nil, err
	}
	return all, nil
}

func parseWeight(field string) (weightRule, error) {
	at := strings.LastIndexByte(field, '=')
	if at <= 0 {
		return weightRule{}, fmt.Errorf("got %q, expected %s", field, expectedWeight)
	}
	whose, number := field[:at], field[at+1:]
	var rule weightRule
	var err error
	if rule.weight, err = strconv.ParseFloat(number, 64); err != nil || !(rule.weight >= 0) || math.IsInf(rule.weight, 0) {
		return weightRule{}, fmt.Errorf("got the weight %q for %s, expected a number of at least 0", number, whose)
	}
	if address, err := netip.ParseAddr(whose); err == nil {
		rule.address = address
		return rule, nil
	}
	if key, value, ok := strings.Cut(whose, "="); ok {
		rule.key, rule.value = key, value
		return rule, nil
	}
	rule.node = whose
	return rule, nil
}

// of is the weight of an endpoint: that of its address goes before that of its
// node, and that before the first label that the node has. Nil is none.
func (w weights) of(e *state.Endpoint, node func(string) *corev1.Node) *float64 {
	var found *float64
	best := 0
	for i := range w {
		if rank := w[i].matches(e, node); rank > best {
			found, best = &w[i].weight, rank
		}
	}
	return found
}

func (r *weightRule) matches(e *state.Endpoint, node func(string) *corev1.Node) (rank int) {
	switch {
	case r.address.IsValid():
		if r.address == e.Address {
			return 3
		}
	case r.key == "":
		if r.node == e.Node {
			return 2
		}
	case e.Node != "":
		if n := node(e.Node); n != nil {
			if value, ok := n.Labels[r.key]; ok && value == r.value {
				return 1
			}
		}
	}
	return 0
}
