package usage

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"pgregory.net/rapid"

	"weft/state"
)

var moment = time.Date(2025, 11, 24, 13, 38, 23, 0, time.UTC)

func nodes(n int) (nodes []state.Node) {
	for i := range n {
		nodes = append(nodes, state.Node{Name: fmt.Sprintf("node-%d", i), Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})})
	}
	return nodes
}

// series is one such as ratio{instance="10.0.0.1:9100"}; the kind stands before.
func series(kind, label, value string, v float64) *model.Sample {
	return &model.Sample{Metric: model.Metric{kindLabel: model.LabelValue(kind), model.LabelName(label): model.LabelValue(value)}, Value: model.SampleValue(v)}
}

func TestRead(t *testing.T) {
	fresh := series("age", "instance", "10.0.0.0:9100", 12)
	cases := []struct {
		name   string
		vector model.Vector
		label  string
		noAge  bool
		want   map[string]reading
		err    string
	}{
		{name: "nothing", err: "Prometheus has no series for node-0"},
		{
			name:   "a value, its age and the cores",
			vector: model.Vector{series("ratio", "instance", "10.0.0.0:9100", 0.5), fresh, series("cores", "instance", "10.0.0.0:9100", 4)},
			want:   map[string]reading{"node-0": {0.5, moment.Add(-12 * time.Second), 4}},
		},
		{
			name:   "zero is a value",
			vector: model.Vector{series("ratio", "instance", "10.0.0.0:9100", 0), fresh},
			want:   map[string]reading{"node-0": {0, moment.Add(-12 * time.Second), 0}},
		},
		{
			name:   "a rate may be a little too high",
			vector: model.Vector{series("ratio", "instance", "10.0.0.0:9100", 1.04), fresh},
			want:   map[string]reading{"node-0": {1, moment.Add(-12 * time.Second), 0}},
		},
		{name: "much too high", vector: model.Vector{series("ratio", "instance", "10.0.0.0:9100", 1.06), fresh}, err: "a value that is no part of 1 for node-0"},
		{
			name:   "and a little too low",
			vector: model.Vector{series("ratio", "instance", "10.0.0.0:9100", -0.04), fresh},
			want:   map[string]reading{"node-0": {0, moment.Add(-12 * time.Second), 0}},
		},
		{name: "negative", vector: model.Vector{series("ratio", "instance", "10.0.0.0:9100", -0.06), fresh}, err: "a value that is no part of 1 for node-0"},
		{name: "no number", vector: model.Vector{series("ratio", "instance", "10.0.0.0:9100", math.NaN()), fresh}, err: "a value that is no part of 1 for node-0"},
		{name: "infinite", vector: model.Vector{series("ratio", "instance", "10.0.0.0:9100", math.Inf(1)), fresh}, err: "a value that is no part of 1 for node-0"},
		{name: "no age", vector: model.Vector{series("ratio", "instance", "10.0.0.0:9100", 0.5)}, err: "no sample of the last 1m0s for node-0"},
		{name: "too old", vector: model.Vector{series("ratio", "instance", "10.0.0.0:9100", 0.5), series("age", "instance", "10.0.0.0:9100", 60.5)}, err: "no sample of the last 1m0s for node-0"},
		{name: "an age that is no number", vector: model.Vector{series("ratio", "instance", "10.0.0.0:9100", 0.5), series("age", "instance", "10.0.0.0:9100", math.NaN())}, err: "no sample of the last 1m0s for node-0"},
		{
			name: "no age is asked for", noAge: true,
			vector: model.Vector{series("ratio", "instance", "10.0.0.0:9100", 0.5)},
			want:   map[string]reading{"node-0": {0.5, moment, 0}},
		},
		{
			name: "by the node's name", noAge: true,
			vector: model.Vector{series("ratio", "node", "node-0", 0.5)},
			want:   map[string]reading{"node-0": {0.5, moment, 0}},
		},
		{
			name: "by a name with a port and capitals", noAge: true,
			vector: model.Vector{series("ratio", "instance", "Node-0:9100", 0.5)},
			want:   map[string]reading{"node-0": {0.5, moment, 0}},
		},
		{
			name: "by the address alone", noAge: true,
			vector: model.Vector{series("ratio", "instance", "10.0.0.0", 0.5)},
			want:   map[string]reading{"node-0": {0.5, moment, 0}},
		},
		{
			name: "by a label of one's own", noAge: true, label: "machine",
			vector: model.Vector{series("ratio", "machine", "node-0", 0.5), series("ratio", "instance", "10.0.0.0", 0.9)},
			want:   map[string]reading{"node-0": {0.5, moment, 0}},
		},
		{name: "by another label than that", noAge: true, label: "machine", vector: model.Vector{series("ratio", "instance", "10.0.0.0", 0.9)}, err: "no series for node-0"},
		{name: "other nodes", noAge: true, vector: model.Vector{series("ratio", "instance", "10.9.9.9:9100", 0.5), series("ratio", "instance", "", 0.5)}, err: "no series for node-0"},
		{
			name: "twice: the first by its labels", noAge: true,
			vector: model.Vector{series("ratio", "node", "node-0", 0.9), series("ratio", "instance", "10.0.0.0", 0.5)},
			want:   map[string]reading{"node-0": {0.5, moment, 0}},
		},
		{
			name:   "two ages: the younger",
			vector: model.Vector{series("ratio", "node", "node-0", 0.9), fresh, series("age", "node", "node-0", 3)},
			want:   map[string]reading{"node-0": {0.9, moment.Add(-3 * time.Second), 0}},
		},
		{
			name: "cores that are none", noAge: true,
			vector: model.Vector{series("ratio", "node", "node-0", 0.9), series("cores", "node", "node-0", math.NaN())},
			want:   map[string]reading{"node-0": {0.9, moment, 0}},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := read(c.vector, nodes(1), reader{c.label, !c.noAge, expiry, moment})
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error = %v, want %q", err, c.err)
			}
			if c.want == nil {
				c.want = map[string]reading{}
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(reading{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What is missing is named, by reason, and not all of a thousand nodes.
func TestMissing(t *testing.T) {
	vector := model.Vector{series("ratio", "node", "node-3", 7), series("ratio", "node", "node-4", 0.5)}
	_, err := read(vector, nodes(5), reader{now: moment})
	want := "Prometheus has a value that is no part of 1 for node-3, and no series for node-0, node-1, node-2"
	if err == nil || err.Error() != want {
		t.Errorf("error = %v\nwant    %s", err, want)
	}
	_, err = read(nil, nodes(200), reader{now: moment})
	if err == nil || !strings.HasSuffix(err.Error(), "node-9 and 190 more") {
		t.Errorf("error = %v", err)
	}
}

func TestHost(t *testing.T) {
	cases := map[string]string{
		"10.0.0.1:9100": "10.0.0.1", "10.0.0.1": "10.0.0.1", "[fd00::1]:9100": "fd00::1", "fd00:0::1": "fd00::1",
		"node-1:9100": "node-1", "node-1": "node-1", "Node-1.example": "node-1.example", "": "", ":9100": "", "a:": "a:",
	}
	for value, want := range cases {
		if got := host(value); got != want {
			t.Errorf("host(%q) = %q, want %q", value, got, want)
		}
	}
}

// Whatever the numbers are, what is read is a ratio with a time that is not too
// old, and the order of an answer is no matter.
func TestReadIsSane(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := nodes(3)
		var vector model.Vector
		for range rapid.IntRange(0, 12).Draw(t, "series") {
			value := rapid.OneOf(rapid.Float64(), rapid.Float64Range(0, 1), rapid.Float64Range(0, 100), rapid.SampledFrom([]float64{0, math.NaN(), math.Inf(1), math.Inf(-1)})).Draw(t, "value")
			vector = append(vector, series(
				rapid.SampledFrom([]string{"ratio", "age", "cores", ""}).Draw(t, "kind"),
				rapid.SampledFrom([]string{"node", "instance"}).Draw(t, "label"),
				rapid.SampledFrom([]string{"node-0", "node-1", "10.0.0.1:9100", "other"}).Draw(t, "of"), value))
		}
		got, err := read(vector, all, reader{"", true, expiry, moment})
		if (len(got) == len(all)) != (err == nil) {
			t.Fatalf("%d readings and error %v", len(got), err)
		}
		for name, r := range got {
			age := moment.Sub(r.measured)
			if !(r.ratio >= 0 && r.ratio <= 1) || age < 0 || age > expiry || r.cores < 0 {
				t.Fatalf("%s: %+v", name, r)
			}
		}
	})
}
