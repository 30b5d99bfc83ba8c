package render

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"

	"weft/state/strict"
)

// Vars are the values that a user may give to a template set, by name. Every
// template reads them as .Vars.
type Vars map[string]any

// Var describes one of the vars that weft itself knows.
type Var struct {
	Name string
	// Default is the value of a var that nobody set.
	Default any
	Doc     string
	check   func(any) (any, error)
}

// KnownVars lists the vars that the shipped sets read, in the order in which
// the documentation shows them.
func KnownVars() []Var {
	return []Var{
		{"table", "weft", "name of the tables, one for each address family", identifier},
		{"chainName", "svc-{hash}-{namespace}/{name}/{protocol}/{port}", "name of a ServicePort's chain; {hash} keeps names apart that are otherwise equal", chainPattern},
		{"nodePortIPs", "nodeport-ips", "set of the addresses that take NodePort traffic", identifier},
		{"serviceNodePorts", "service-nodeports", "map of protocol and nodePort to the chain of a ServicePort", identifier},
		{"localEndpoints", "local-endpoints", "set of the endpoints on this node (masquerade: remote)", identifier},
		{"portSet", "{protocol}-nodeports", "set of the NodePorts of one protocol", portSetPattern},
		{"preroutingChain", "prerouting", "base chain for packets from outside", identifier},
		{"outputChain", "output", "base chain for the node's own packets", identifier},
		{"servicesChain", "services", "chain that finds the ServicePort", identifier},
		{"postroutingChain", "postrouting", "base chain that masquerades", identifier},
		{"priority", -150, "priority of the two base chains that translate: -199 to 299, less than kube-proxy's -100 to go first", priority},
		{"postroutingPriority", 90, "priority of the base chain that masquerades: -199 to 299", priority},
		{"modulus", 0, "slots of a ServicePort, 1 to 65536; 0 takes the smallest of 100, 1000, 10000, 65536 that keeps each share within 1 %", modulusVar},
		{"heartbeat", "60s", "how long the rules work without a live weft; 0 is for ever", heartbeat},
		{"affinity", "kube-proxy", "who serves ServicePorts with ClientIP affinity: kube-proxy, or hash, weft by a hash of the client's address", oneOf("kube-proxy", "hash")},
		{"affinitySeed", 1, "seed of that hash, 0 to 2147483647: the same on all nodes, or clients move with the node that they use", seed},
		{"masquerade", "all", "what leaves with the node's own address: all, remote (endpoints on other nodes), none", oneOf("all", "remote", "none")},
	}
}

// DefaultVars returns every known var with its default.
func DefaultVars() Vars {
	vars := Vars{}
	for _, v := range KnownVars() {
		vars[v.Name] = v.Default
	}
	return vars
}

// With returns the vars with those of over in their place. All values are
// checked, and all that is wrong is reported together: a var that neither weft
// nor declared (the set's own) knows, a value of the wrong kind.
func (v Vars) With(over, declared Vars) (Vars, error) {
	merged := maps.Clone(v)
	maps.Copy(merged, declared)
	known := map[string]Var{}
	for _, k := range KnownVars() {
		known[k.Name] = k
	}
	var problems *multierror.Error
	for _, name := range slices.Sorted(maps.Keys(over)) {
		value, err := checked(name, over[name], known, declared)
		if err != nil {
			problems = multierror.Append(problems, err)
			continue
		}
		merged[name] = value
	}
	if problems != nil {
		problems.ErrorFormat = strict.Lines
	}
	return merged, problems.ErrorOrNil()
}

// clone is a copy that shares nothing that could be changed: vars are what YAML
// holds.
func (v Vars) clone() Vars {
	copied := Vars{}
	for name, value := range v {
		copied[name] = cloneValue(value)
	}
	return copied
}

func cloneValue(value any) any {
	switch value := value.(type) {
	case map[string]any:
		copied := make(map[string]any, len(value))
		for k, v := range value {
			copied[k] = cloneValue(v)
		}
		return copied
	case []any:
		copied := make([]any, len(value))
		for i, v := range value {
			copied[i] = cloneValue(v)
		}
		return copied
	}
	return value
}

func checked(name string, value any, known map[string]Var, declared Vars) (any, error) {
	if k, ok := known[name]; ok {
		good, err := k.check(value)
		if err != nil {
			return nil, fmt.Errorf("var %s: got %#v, expected %w", name, value, err)
		}
		return good, nil
	}
	if _, ok := declared[name]; ok {
		return value, nil
	}
	names := slices.Sorted(maps.Keys(known))
	names = append(names, slices.Sorted(maps.Keys(declared))...)
	return nil, fmt.Errorf("var %s: no such var; expected one of %s, or one that the set's vars.yaml declares", name, strings.Join(names, ", "))
}

// Heartbeat is how long the rules outlive weft; 0 is for ever.
func (v Vars) Heartbeat() time.Duration {
	d, err := time.ParseDuration(v.text("heartbeat"))
	if err != nil {
		return 0
	}
	return d
}

// Table is the name of the tables.
func (v Vars) Table() string { return v.text("table") }

// NodePortIPs is the name of the set whose elements are the heartbeat.
func (v Vars) NodePortIPs() string { return v.text("nodePortIPs") }

// Masquerade says what leaves with the node's own address: all, remote or none.
func (v Vars) Masquerade() string { return v.text("masquerade") }

// Modulus is the number of slots of a ServicePort; 0 chooses it by the shares.
func (v Vars) Modulus() int {
	switch n := v["modulus"].(type) {
	case int:
		return n
	case float64: // of a history, which is JSON
		return int(n)
	}
	return 0
}

// HashesAffinity says whether ServicePorts with ClientIP affinity are weft's.
func (v Vars) HashesAffinity() bool { return v.text("affinity") == "hash" }

func (v Vars) text(name string) string {
	s, _ := v[name].(string)
	return s
}

// isName reports whether nft 1.0.6 takes a text for the name of a table, chain or
// set. The colon is left out, which nft misreads in some places; a name that is
// one of nft's keywords is found by the lint.
func isName(s string) bool { return len(s) <= 128 && namePattern.MatchString(s) }

func identifier(value any) (any, error) {
	s, ok := value.(string)
	if !ok || !isName(s) {
		return nil, fmt.Errorf("a name that starts with a letter and holds letters, digits and _ . / - only, up to 128 of them")
	}
	return s, nil
}

func chainPattern(value any) (any, error) {
	return pattern(value, "hash", "namespace", "name", "protocol", "port", "nodePort")
}

func portSetPattern(value any) (any, error) {
	s, err := pattern(value, "protocol")
	if err == nil && !strings.Contains(s, "{protocol}") {
		err = fmt.Errorf("a name with {protocol} in it")
	}
	return s, err
}

func pattern(value any, fields ...string) (string, error) {
	s, _ := value.(string)
	plain := s
	for _, f := range fields {
		plain = strings.ReplaceAll(plain, "{"+f+"}", "x")
	}
	if !isName(plain) || strings.HasPrefix(s, "{") {
		return "", fmt.Errorf("a name that starts with a letter, of letters, digits, _ . / - and {%s}", strings.Join(fields, "} {"))
	}
	return s, nil
}

// priority keeps to what the kernel takes for nat chains (above -200); -100 is
// kube-proxy's own, and of two equal ones the last loaded would go first.
func priority(value any) (any, error) {
	n, ok := value.(int)
	if !ok || n < -199 || n > 299 || n == -100 {
		return nil, fmt.Errorf("a whole number from -199 to 299 that is not kube-proxy's -100")
	}
	return n, nil
}

func modulusVar(value any) (any, error) {
	n, ok := value.(int)
	if !ok || n < 0 || n > 65536 {
		return nil, fmt.Errorf("a whole number from 1 to 65536, or 0 to choose by the shares")
	}
	return n, nil
}

func seed(value any) (any, error) {
	n, ok := value.(int)
	if !ok || n < 0 || n > math.MaxInt32 {
		return nil, fmt.Errorf("a whole number from 0 to 2147483647")
	}
	return n, nil
}

func heartbeat(value any) (any, error) {
	s := fmt.Sprint(value)
	d, err := time.ParseDuration(s)
	if err != nil || d != 0 && d < time.Second || d > 24*time.Hour {
		return nil, fmt.Errorf("a duration from 1s to 24h, or 0 for rules that outlive weft")
	}
	return s, nil
}

func oneOf(choices ...string) func(any) (any, error) {
	return func(value any) (any, error) {
		if s, ok := value.(string); ok && slices.Contains(choices, s) {
			return s, nil
		}
		return nil, fmt.Errorf("one of %s", strings.Join(choices, ", "))
	}
}

// nftDuration writes a duration as nft reads it; Go's own form has fractions
// that nft does not know.
func nftDuration(d time.Duration) string {
	text := strconv.Itoa(int(d/time.Second)) + "s"
	if ms := d % time.Second / time.Millisecond; ms > 0 {
		text += strconv.Itoa(int(ms)) + "ms"
	}
	return text
}
