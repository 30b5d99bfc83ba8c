package usage

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"weft/state"
)

// reading is what Prometheus knows about a node.
type reading struct {
	ratio    float64
	measured time.Time
	cores    int
}

// after is the reading, unless it is the one before again: its time is reckoned
// from its age at the moment of the query, so it is never quite the same.
func (r reading) after(before reading) reading {
	if r.ratio == before.ratio && r.measured.Sub(before.measured).Abs() < 500*time.Millisecond {
		r.measured = before.measured
	}
	return r
}

// found is what an answer says about a node, or the first of several series about
// it.
type found struct {
	ratio, age, cores *float64
}

// reader is how an answer is to be read.
type reader struct {
	label  string // as in Options
	aged   bool   // there is an age for each node
	expiry time.Duration
	now    time.Time
}

// read takes an answer apart. The error names the nodes that have no reading, and
// why; the readings are good all the same.
func read(vector model.Vector, nodes []state.Node, how reader) (map[string]reading, error) {
	names := index(nodes)
	all := map[string]*found{}
	for _, s := range inOrder(vector) {
		name, ok := nodeOf(s.Metric, how.label, names)
		if !ok {
			continue
		}
		if all[name] == nil {
			all[name] = &found{}
		}
		all[name].take(s)
	}
	readings := map[string]reading{}
	lacking := map[string][]string{}
	for _, n := range nodes {
		r, problem := all[n.Name].reading(how)
		if problem != "" {
			lacking[problem] = append(lacking[problem], n.Name)
			continue
		}
		readings[n.Name] = r
	}
	return readings, missing(lacking)
}

// inOrder sorts series by their labels, so that which of two counts is no matter of
// chance.
func inOrder(vector model.Vector) model.Vector {
	return slices.SortedFunc(slices.Values(vector), func(a, b *model.Sample) int {
		return cmp.Compare(a.Metric.String(), b.Metric.String())
	})
}

// take keeps the first value of each kind, but of two ratios the fresher cannot be
// told, so the first stays there, too.
func (f *found) take(s *model.Sample) {
	value := float64(s.Value)
	keep := func(to **float64) {
		if *to == nil {
			*to = &value
		}
	}
	switch s.Metric[kindLabel] {
	case "ratio":
		keep(&f.ratio)
	case "age":
		if f.age == nil || value < *f.age {
			f.age = &value
		}
	case "cores":
		keep(&f.cores)
	}
}

// reading checks what was found; f may be nil. problem is why there is none.
func (f *found) reading(how reader) (r reading, problem string) {
	if f == nil || f.ratio == nil {
		return r, "no series"
	}
	r = reading{ratio: min(max(0, *f.ratio), 1), measured: how.now}
	if !(*f.ratio >= -tolerated && *f.ratio <= 1+tolerated) {
		return r, "a value that is no part of 1"
	}
	if how.aged {
		if f.age == nil || !(*f.age >= 0 && *f.age <= how.expiry.Seconds()) {
			return r, "no sample of the last " + how.expiry.String()
		}
		r.measured = how.now.Add(-time.Duration(*f.age * float64(time.Second)))
	}
	if f.cores != nil && *f.cores >= 1 && *f.cores <= 1<<20 {
		r.cores = int(*f.cores)
	}
	return r, ""
}

// tolerated is how far beyond 0 and 1 a rate can be, which is reckoned from counters
// and times that were not read at quite the same moment.
const tolerated = 0.05

// labels are tried in this order: those that name a node are surer than an
// address.
var labels = []model.LabelName{"node", "kubernetes_node", "nodename", "instance"}

// nodeOf is the node that a series is about.
func nodeOf(m model.Metric, label string, names map[string]string) (name string, ok bool) {
	if label != "" {
		name, ok = names[host(string(m[model.LabelName(label)]))]
		return name, ok
	}
	for _, l := range labels {
		if name, ok = names[host(string(m[l]))]; ok {
			return name, true
		}
	}
	return "", false
}

// index finds nodes by their names and their addresses.
func index(nodes []state.Node) map[string]string {
	names := make(map[string]string, 2*len(nodes))
	for _, n := range nodes {
		names[n.Address.String()] = n.Name
	}
	for _, n := range nodes { // a name goes before another one's address
		names[n.Name] = n.Name
	}
	return names
}

// host is the value of a label without a port, in the form in which index has
// addresses.
func host(value string) string {
	if at, err := netip.ParseAddrPort(value); err == nil {
		return at.Addr().String()
	}
	if addr, err := netip.ParseAddr(value); err == nil {
		return addr.String()
	}
	if name, port, ok := strings.Cut(value, ":"); ok && port != "" {
		value = name
	}
	return strings.ToLower(value)
}

// missing is an error that names nodes, the reasons sorted; nil without any.
func missing(lacking map[string][]string) error {
	if len(lacking) == 0 {
		return nil
	}
	var parts []string
	for _, problem := range slices.Sorted(maps.Keys(lacking)) {
		parts = append(parts, problem+" for "+list(lacking[problem]))
	}
	return fmt.Errorf("Prometheus has %s", strings.Join(parts, ", and "))
}

// list names the first ten.
func list(names []string) string {
	const most = 10
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
