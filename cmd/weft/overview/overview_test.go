package overview_test

import (
	"bytes"
	"context"
	"flag"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weft/cmd/weft/overview"
	"weft/render/history"
	"weft/state"
	"weft/state/status"
)

var update = flag.Bool("update", false, "write the goldens")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: -want +got\n%s", path, diff)
	}
}

func now() time.Time { return time.Date(2026, 11, 24, 13, 38, 23, 0, time.UTC) }

func ago(d time.Duration) time.Time { return now().Add(-d) }

// sample is an agent that has something to say of everything.
func sample() *overview.Overview {
	factor := 0.35
	weight := 2.0
	return &overview.Overview{
		Time: now(), Node: "k8s-slave-2-vm", Running: true,
		Agents: []status.Status{{
			Agent:  status.Agent{Command: "weft run", Version: "v1.2.3", PID: 4711, Started: ago(3*time.Hour + 12*time.Minute), Parts: []status.Part{status.Watcher, status.Applier}},
			Health: status.Health{Live: true, Ready: true, Healthy: true},
			Rules: status.Held{
				Wanted: 1834, Applied: 1834, Proven: 1834, Since: ago(3 * time.Minute), Checked: ago(10 * time.Second), Set: "cascade", Table: "weft",
				HeartbeatSeconds: 60, Beat: ago(4 * time.Second), Beats: 600, Repairs: 1, Repaired: ago(50 * time.Hour), RepairedOf: "chain services changed by nft (process 17)",
			},
			Changes: &status.Changes{Count: 12, LastSeconds: 0.052, MeanSeconds: 0.0843},
			Inputs:  []status.Input{{Name: status.FromState, Good: ago(2 * time.Second)}, {Name: status.FromTemplates, Good: ago(3 * time.Hour)}},
			Stages:  []status.Work{{Stage: status.Render, Failures: 1, LastError: "_service.nft.tmpl:2: no\n  at length", Failed: ago(40 * time.Minute)}},
		}},
		Traffic: &status.Traffic{Since: ago(7 * time.Minute), Connections: 1004},
		Nodes: []status.Node{
			{Name: "k8s-master-vm", Address: "10.34.4.140", Unreachable: ago(27 * time.Minute)},
			{Name: "k8s-slave-2-vm", Address: "10.34.4.141", Latency: &status.Latency{Seconds: 0.00003}, CPU: &status.CPU{Ratio: 0.0142}, Share: 0.625, Endpoints: 3, Seen: &status.Seen{Connections: 748, Share: 0.745, Asked: 0.75}},
			{Name: "k8s-slave-4-raspberrypi-4", Address: "10.34.4.237", Latency: &status.Latency{Seconds: 0.000627}, CPU: &status.CPU{Ratio: 1}, Factor: &factor, Share: 0.375, Endpoints: 1, Seen: &status.Seen{Connections: 256, Share: 0.255, Asked: 0.25}},
		},
		ServicePorts: []status.ServicePort{
			{ID: "riset/hellopod-np-svc", Protocol: state.TCP, NodePort: 30000, Policy: state.PolicyLatencyCPU, Connections: 1004, Held: []state.Hold{state.HoldHysteresis, state.HoldStale}, Endpoints: []status.Endpoint{
				{Address: netip.MustParseAddrPort("10.42.4.201:8080"), Node: "k8s-slave-2-vm", Share: 0.5, Weight: &weight, Seen: &status.Seen{Connections: 507, Share: 0.505, Asked: 0.5}},
				{Address: netip.MustParseAddrPort("10.42.4.202:8080"), Node: "k8s-slave-2-vm", Share: 0.25, Seen: &status.Seen{Connections: 241, Share: 0.24, Asked: 0.25}},
				{Address: netip.MustParseAddrPort("10.42.5.169:8080"), Node: "k8s-slave-4-raspberrypi-4", Share: 0.25, Seen: &status.Seen{Connections: 256, Share: 0.255, Asked: 0.25}},
			}},
			{ID: "riset/latency-extender-svc:http", Protocol: state.TCP, NodePort: 30100, Skipped: "all endpoints are on one node"},
			{ID: "shop/web:https", Protocol: state.TCP, NodePort: 30443, Endpoints: []status.Endpoint{
				{Address: netip.MustParseAddrPort("10.42.4.11:8443"), Node: "k8s-slave-2-vm", Share: 1},
				{Address: netip.MustParseAddrPort("[fd00::1]:8443"), Share: 1},
			}},
		},
		Transactions: []overview.Transaction{
			{ID: 6, Time: ago(40 * time.Minute), Generation: 1833, Set: "./mine", Result: history.Refused, Message: "refused by lint: no\nand more"},
			{ID: 7, Time: ago(3 * time.Minute), Generation: 1834, Set: "cascade", Result: history.Proven},
		},
	}
}

func TestPrint(t *testing.T) {
	wrong := sample()
	wrong.Agents[0].Health = status.Health{Live: true, Reasons: []status.Reason{
		{Fails: status.NotReady, Message: "no rules were proven yet", Since: ago(time.Minute)},
		{Fails: status.NotHealthy, Message: "apply: refused by nft: a.tmpl:1: no\n  rendered line 32: no", Since: ago(90 * time.Second)},
	}}
	wrong.Agents[0].Rules = status.Held{Wanted: 9, Applied: 8, LetGo: "the state is older than failAfter, 10m0s"}
	wrong.Nodes, wrong.ServicePorts, wrong.Transactions = nil, nil, nil
	wrong.Traffic = &status.Traffic{Unknown: "hear of connections: operation not permitted (it takes CAP_NET_ADMIN)"}
	stopped := sample()
	stopped.Running, stopped.Agents, stopped.Traffic = false, nil, nil
	stopped.State = &overview.File{Path: "/run/weft/state.yaml", Generation: 1834, Written: ago(time.Hour)}
	stopped.Unknown = []string{"ask weft on /run/weft/weft.sock: connect: permission denied"}
	many := sample()
	for range 3 {
		many.ServicePorts = append(many.ServicePorts, many.ServicePorts...)
	}
	tests := []struct {
		name string
		o    *overview.Overview
		form overview.Form
	}{
		{"healthy", sample(), overview.Form{Blocks: true}},
		{"ascii", sample(), overview.Form{}},
		{"wrong", wrong, overview.Form{Blocks: true}},
		{"stopped", stopped, overview.Form{Blocks: true}},
		{"narrow", sample(), overview.Form{Blocks: true, Width: 80, Height: 24}},
		{"small", sample(), overview.Form{Blocks: true, Width: 40, Height: 9}},
		{"color", wrong, overview.Form{Color: true, Width: 24}},
		{"many", many, overview.Form{Blocks: true, ServicePorts: 3}},
		{"only", sample(), overview.Form{Blocks: true, Only: "tcp/30000"}},
		{"nothing", &overview.Overview{Time: now(), Unknown: []string{"read state: no such file"}}, overview.Form{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			if err := tt.o.Print(&b, tt.form); err != nil {
				t.Fatal(err)
			}
			golden(t, tt.name, b.String())
		})
	}
}

func TestNumbers(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 59*time.Second + 999*time.Millisecond: "59s", time.Minute: "1m00s", time.Hour - 1: "59m59s",
		time.Hour: "1h00m", 24 * time.Hour: "1d00h", 100*24*time.Hour + 5*time.Hour: "100d05h",
	} {
		if got := overview.Age(d); got != want {
			t.Errorf("Age(%v) = %s, want %s", d, got, want)
		}
	}
	for v, want := range map[float64]string{0: "0%", 0.0004: "0.0%", 0.001: "0.1%", 0.0994: "9.9%", 0.0996: "10%", 0.5: "50%", 1: "100%"} {
		if got := overview.Percent(v); got != want {
			t.Errorf("Percent(%v) = %s, want %s", v, got, want)
		}
	}
	for v, want := range map[float64]string{0.00003: "0.030 ms", 0.0012345: "1.23 ms", 0.0123: "12.3 ms", 1.5: "1500 ms"} {
		if got := overview.Milliseconds(v); got != want {
			t.Errorf("Milliseconds(%v) = %s, want %s", v, got, want)
		}
	}
}

// TestLookFromFiles is a machine on which no weft runs.
func TestLookFromFiles(t *testing.T) {
	dir := t.TempDir()
	log := history.Open(filepath.Join(dir, "history"), history.Limits{})
	for range 7 {
		if err := log.Add(history.Entry{Generation: 3, Result: history.Proven, Message: t.Name() + time.Now().String()}); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile("../../../state/testdata/explained.yaml")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "state.yaml")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	from := overview.Sources{Sockets: []string{filepath.Join(dir, "none.sock")}, StateFile: path, History: log}
	o := overview.Look(t.Context(), from)
	if o.Running || o.Healthy() || o.State == nil || o.State.Generation != 1834 || len(o.Nodes) != 2 || len(o.ServicePorts) != 2 || len(o.Unknown) != 0 {
		t.Errorf("%+v", o)
	}
	if len(o.Transactions) != 5 || o.Transactions[4].ID != 7 {
		t.Errorf("transactions %+v, want the last five", o.Transactions)
	}
	if err := os.WriteFile(path, bytes.Replace(text, []byte("weft/v1"), []byte("weft/v2"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	o = overview.Look(t.Context(), from)
	if len(o.Unknown) != 1 || !strings.Contains(o.Unknown[0], "weft/v2") {
		t.Errorf("unknown %q, want the newer state", o.Unknown)
	}
}

// TestAsk has agents that answer strangely.
func TestAsk(t *testing.T) {
	tests := []struct{ name, answer, want string }{
		{"no JSON", "hello", "understand weft on"},
		{"another version", `{"apiVersion": "weft/v9"}`, `got apiVersion "weft/v9", expected weft/v1`},
		{"good", `{"apiVersion": "weft/v1", "agent": {"parts": ["applier"]}, "servicePorts": [{"id": "a/b", "endpoints": [{"address": "10.0.0.1:80", "share": 1}]}]}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(tt.answer)) })}
			go func() { _ = server.Serve(l) }()
			t.Cleanup(func() { _ = server.Shutdown(context.Background()) })
			o := overview.Look(t.Context(), overview.Sources{Sockets: []string{path}, StateFile: "/nonexistent", History: history.Open("", history.Limits{})})
			if tt.want == "" {
				if !o.Running || len(o.ServicePorts) != 1 {
					t.Errorf("%+v", o)
				}
			} else if text := printed(t, o); !strings.Contains(text, "cannot be asked") || o.Running || !strings.Contains(strings.Join(o.Unknown, "\n"), tt.want) {
				t.Errorf("unknown %q, want %q", o.Unknown, tt.want)
			}
		})
	}
}

func printed(t *testing.T, o *overview.Overview) string {
	t.Helper()
	var b strings.Builder
	if err := o.Print(&b, overview.Form{}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
