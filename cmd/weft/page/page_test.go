package page_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"weft/cmd/weft/page"
	"weft/render"
	"weft/render/history"
	"weft/state"
	"weft/state/status"
)

// nodes of the sample, and how long ago it began.
const (
	nodes = 4
	began = 50 * time.Minute
)

// stateAt is the sample's state after so many minutes. With hostile, everything
// that a cluster may name freely is what would be a script in a page.
func stateAt(minute int, hostile string) *state.State {
	now := time.Now()
	st := &state.State{Node: "node-1", Generation: uint64(1800 + minute), Addresses: []netip.Addr{netip.MustParseAddr("10.34.4.141")}}
	for i := range nodes {
		n := state.Node{Name: fmt.Sprintf("node-%d", i+1), Address: netip.AddrFrom4([4]byte{10, 34, 4, byte(141 + i)}), Cores: 4}
		latency := 0.0003 + 0.0002*float64(i) + 0.0001*math.Sin(float64(minute*(i+1))/6)
		n.Latency = &state.Latency{Seconds: latency, Measured: now, Source: "peer"}
		if i == 3 {
			n.Latency, n.Unreachable = nil, now.Add(-90*time.Second)
		}
		if i != 2 || minute < 20 || minute > 30 { // Prometheus was away for a while
			n.CPU = &state.CPU{Ratio: 0.4 + 0.35*math.Sin(float64(minute)/8+float64(i)), Measured: now, Source: "prometheus"}
		}
		st.Nodes = append(st.Nodes, n)
	}
	half, one, more := 0.62, 1.0, 1.25
	for i := range 120 {
		p := &state.ServicePort{
			Namespace: "shop", Name: fmt.Sprintf("web-%03d", i), Port: "http", Protocol: state.TCP, NodePort: uint16(30000 + i), Policy: state.PolicyLatencyCPU,
			Factors: []state.Factor{{Node: "node-1", Latency: &one, Target: 0.6, Share: 0.6}, {Node: "node-2", Latency: &half, Trim: &more, Target: 0.4, Share: 0.4}},
		}
		for j, share := range []float64{0.35, 0.25, 0.25, 0.15} {
			p.Endpoints = append(p.Endpoints, state.Endpoint{Address: netip.AddrFrom4([4]byte{10, 42, byte(j % nodes), byte(i)}), Port: 8080, Node: fmt.Sprintf("node-%d", j%nodes+1), Share: share})
		}
		if i%3 == 0 {
			p.Held = []state.Hold{state.HoldHysteresis}
		}
		if i%10 == 9 {
			p.Skipped, p.Endpoints, p.Factors, p.Held = "all endpoints are on one node"+strings.ReplaceAll(hostile, `"`, ""), nil, nil, nil
		}
		st.ServicePorts = append(st.ServicePorts, p)
	}
	return st
}

// sample is an agent that has run for a while, with its history.
type sample struct {
	recorder *status.Recorder
	history  *history.Log
}

func newSample(t *testing.T) *sample {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "history")
	return &sample{
		history:  history.Open(dir, history.Limits{}),
		recorder: status.New("node-1", "weft run", "v1.2.3", status.Watcher, status.Applier),
	}
}

// samples are those of the time since the sample began.
func samples() map[string][]status.Sample {
	all := map[string][]status.Sample{}
	for minute := range int(began.Minutes()) {
		for _, n := range stateAt(minute, "").Nodes {
			s := status.Sample{Unix: time.Now().Add(time.Duration(minute)*time.Minute - began).Unix(), Latency: float32(math.NaN()), CPU: float32(math.NaN())}
			if n.Latency != nil {
				s.Latency = float32(n.Latency.Seconds)
			}
			if n.CPU != nil {
				s.CPU = float32(n.CPU.Ratio)
			}
			all[n.Name] = append(all[n.Name], s)
		}
	}
	return all
}

func (s *sample) prove(t *testing.T, st *state.State) {
	t.Helper()
	set, err := render.Load("cascade")
	if err != nil {
		t.Fatal(err)
	}
	result, err := render.Render(t.Context(), set, st, render.DefaultVars())
	if err != nil {
		t.Fatal(err)
	}
	text, err := state.Encode(st)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.history.Add(history.Entry{Generation: st.Generation, Set: "cascade", Table: "weft", Result: history.Proven, Text: result.Text(), State: text}); err != nil {
		t.Fatal(err)
	}
	s.recorder.Written(st)
	s.recorder.Wanted(st)
	s.recorder.Took(status.Apply, 12*time.Millisecond)
	s.recorder.Proven(&status.Rules{
		State: st, Set: "cascade", Table: "weft", Text: result.Text, Source: result.Source, Heartbeat: time.Minute,
		Origin: func(line int) status.Origin {
			o := result.Origin(line)
			at := status.Origin{File: o.File, Line: o.Line}
			if o.ServicePort != nil {
				at.ServicePort = o.ServicePort.ID()
			}
			return at
		},
	})
}

func newHandler(t *testing.T, s *sample) http.Handler {
	t.Helper()
	handler, err := page.Handler(page.Options{
		Recorder: s.recorder, Samples: samples, History: s.history, Log: slog.New(slog.DiscardHandler),
		Ways: func(_ context.Context, rules *status.Rules, id, _ string) ([]page.Way, error) {
			if id == "shop/web-001:http" {
				return nil, errors.New("the kernel <b>does not tell</b>")
			}
			return []page.Way{{To: "10.34.4.141:30000", Conditions: []string{"iif lo"}, Ends: []page.End{{
				Fraction: 0.35, To: "10.42.0.0:8080 masqueraded",
				Steps: []page.Step{{Table: "ip weft", Chain: "services", Handle: 7, Verdict: "goto -> svc"}, {Table: "ip weft", Chain: "svc", Verdict: "dnat"}},
			}}}}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

func lively(t *testing.T, hostile string) *sample {
	s := newSample(t)
	first := stateAt(0, hostile)
	s.prove(t, first)
	second := stateAt(1, hostile)
	changed := *second.ServicePorts[0]
	changed.Endpoints = append([]state.Endpoint(nil), changed.Endpoints...)
	changed.Endpoints[0].Share, changed.Endpoints[1].Share = 0.30, 0.30
	second.ServicePorts[0] = &changed
	s.prove(t, second)
	if err := s.history.Add(history.Entry{Generation: 1802, Set: "./mine" + hostile, Table: "weft", Result: history.Refused, Message: "refused by lint: _service.nft.tmpl:2" + hostile + "\nand more", Text: "table ip weft {\n}\n" + hostile, State: []byte("x" + hostile)}); err != nil {
		t.Fatal(err)
	}
	log := slog.New(s.recorder.Handler(slog.DiscardHandler)).With(status.ComponentKey, "apply")
	log.Info("rules proven", "generation", 1801, "set", "cascade", "load", 12*time.Millisecond)
	log.Warn("rules changed by somebody else, repairing", "change", "table ip weft deleted by nft (process 17)"+hostile, "error", strings.Repeat("it differs ", 40))
	s.recorder.Repaired("table ip weft deleted by nft (process 17)" + hostile)
	s.recorder.Beat()
	s.recorder.Counting(arrivals)
	s.recorder.Good(status.FromState, time.Now())
	return s
}

// arrivals are 1000 new connections to each of some ServicePorts.
func arrivals() status.Traffic {
	t := status.Traffic{Since: time.Now().Add(-7 * time.Minute), Connections: 10000, Endpoints: map[status.Place]status.Arrivals{}}
	for i := range 10 {
		for j, came := range []uint64{338, 267, 242, 153} {
			at := status.Place{Protocol: state.TCP, NodePort: uint16(30000 + 2*i), Endpoint: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 42, byte(j % nodes), byte(2 * i)}), 8080)}
			t.Endpoints[at] = status.Arrivals{Connections: came, Asked: 1000 * []float64{0.35, 0.25, 0.25, 0.15}[j]}
		}
	}
	return t
}

func get(t *testing.T, h http.Handler, target string) (int, http.Header, string) {
	t.Helper()
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest("GET", target, nil))
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Code, answer.Header(), string(text)
}

// targets are all pages of the sample.
func targets() []string {
	return []string{
		"/", "/?q=web-00", "/?page=2", "/?page=99", "/?page=x", "/?log=warnings", "/?q=nothing+is+called+so",
		"/port?id=shop%2Fweb-000%3Ahttp&protocol=tcp", "/port?id=shop%2Fweb-009%3Ahttp&protocol=tcp", "/port?id=shop%2Fweb-001%3Ahttp&protocol=tcp",
		"/rules", "/rules?from=200", "/template?file=_service.nft.tmpl",
		"/transaction?id=1", "/transaction?id=2", "/transaction?id=3",
	}
}

func TestPages(t *testing.T) {
	h := newHandler(t, lively(t, ""))
	for _, target := range targets() {
		code, header, text := get(t, h, target)
		if code != 200 || header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("%s: %d %s", target, code, header.Get("Content-Type"))
		}
		if policy := header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", target, policy)
		}
		check(t, target, text)
	}
	for _, target := range []string{"/nothing", "/port?id=a&protocol=tcp", "/template?file=../../../etc/passwd", "/template?file=/etc/passwd", "/transaction?id=99", "/transaction?id=x", "/assets/", "/layout.html"} {
		code, _, text := get(t, h, target)
		if code != 404 || strings.Contains(text, "root:") {
			t.Errorf("%s: %d", target, code)
		}
		check(t, target, text)
	}
	for target, kind := range map[string]string{"/style.css": "text/css; charset=utf-8", "/page.js": "text/javascript; charset=utf-8", "/icon.svg": "image/svg+xml"} {
		if code, header, _ := get(t, h, target); code != 200 || header.Get("Content-Type") != kind {
			t.Errorf("%s: %d %s", target, code, header.Get("Content-Type"))
		}
	}
}

// check looks for what a document must have for everybody to read it.
func check(t *testing.T, target, text string) {
	t.Helper()
	if strings.Contains(text, "http://") || strings.Contains(text, "https://") || strings.Contains(text, " style=") || strings.Contains(text, " onclick") {
		t.Errorf("%s: something from elsewhere, or inline", target)
	}
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	ids, references, headings, level := map[string]int{}, []string{}, 0, 0
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		attr := map[string]string{}
		for _, a := range n.Attr {
			attr[a.Key] = a.Val
		}
		if id := attr["id"]; id != "" {
			ids[id]++
		}
		for _, key := range []string{"aria-labelledby", "for"} {
			if attr[key] != "" {
				references = append(references, attr[key])
			}
		}
		if _, ok := attr["alt"]; n.Data == "img" && !ok {
			t.Errorf("%s: an image without alt", target)
		}
		if n.Data == "svg" && attr["aria-hidden"] == "" && attr["aria-label"] == "" {
			t.Errorf("%s: a drawing without a word", target)
		}
		if len(n.Data) == 2 && n.Data[0] == 'h' && n.Data[1] >= '1' && n.Data[1] <= '6' {
			now := int(n.Data[1] - '0')
			if now == 1 {
				headings++
			}
			if now > level+1 {
				t.Errorf("%s: <%s> after <h%d>", target, n.Data, level)
			}
			level = now
		}
	}
	if headings != 1 {
		t.Errorf("%s: %d main headings", target, headings)
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("%s: id %s %d times", target, id, n)
		}
	}
	for _, id := range references {
		if ids[id] == 0 {
			t.Errorf("%s: there is no %s", target, id)
		}
	}
}

// TestHostileText has scripts in everything that can be named.
func TestHostileText(t *testing.T) {
	const script = `"><script>alert(1)</script><img src=x onerror=alert(1)>'`
	h := newHandler(t, lively(t, script))
	for _, target := range append(targets(), "/?q="+"%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E", "/port?id=%3Cscript%3E&protocol=%3Cscript%3E", "/transaction?id=%3Cscript%3E", "/%3Cscript%3E") {
		_, _, text := get(t, h, target)
		root, err := html.Parse(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		for n := range root.Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") || n.Data == "script" && a.Key == "src" && a.Val != "/page.js" || n.Data == "img" && a.Val == "x" {
					t.Errorf("%s: <%s %s=%q>", target, n.Data, a.Key, a.Val)
				}
			}
			if n.Data == "script" && n.FirstChild != nil {
				t.Errorf("%s: a script: %s", target, n.FirstChild.Data)
			}
		}
	}
}

// TestContents looks for what each page is for.
func TestContents(t *testing.T) {
	h := newHandler(t, lively(t, ""))
	for target, wants := range map[string][]string{
		"/": {
			"Generation 1801 is proven", "web-000:http", "no answer for 1m", "all endpoints are on one node", "Latency in the last hour: now",
			"Got <b>34%</b> of the new connections (3 380); 35% were asked for", "27% arrived, 25% asked", "+2</span>", "rules changed by somebody else", `href="/?page=2#ports"`, "108 <small>ServicePorts",
		},
		"/?q=tcp%2F30007": {"web-007"},
		"/?page=6":        {"web-118", `href="/?page=5#ports"`},
		"/port?id=shop%2Fweb-000%3Ahttp&protocol=tcp": {
			"10.42.0.0:8080", "hysteresis", `<td class="num">338</td>`, "last 7m00s, asked what", "1.25", "goto -&gt; svc", "iif lo", `href="/template?file=_service.nft.tmpl#L`, "nodePort: 30000",
		},
		"/port?id=shop%2Fweb-009%3Ahttp&protocol=tcp": {"Left to kube-proxy: all endpoints are on one node"},
		"/port?id=shop%2Fweb-001%3Ahttp&protocol=tcp": {"It cannot be told: the kernel &lt;b&gt;does not tell"},
		"/rules":                           {"table ip weft {", `href="/template?file=_service.nft.tmpl#L`, `href="/port?id=shop%2Fweb-000%3Ahttp&amp;protocol=tcp"`, "/rules?from=501"},
		"/rules?from=501":                  {"/rules?from=1\"", `id="L501"`},
		"/template?file=_service.nft.tmpl": {`id="L1"`, "define"},
		"/transaction?id=2":                {`class="removed"`, `class="added"`, "Compared with"},
		"/transaction?id=1":                {"all is new"},
		"/transaction?id=3":                {"refused by lint", "transaction 2"},
	} {
		_, _, text := get(t, h, target)
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q", target, want)
			}
		}
	}
	if _, _, text := get(t, h, "/?q=tcp%2F30007"); strings.Contains(text, "web-008") {
		t.Error("the search finds what was not searched")
	}
}

// TestNothingYet is an agent at its start.
func TestNothingYet(t *testing.T) {
	s := &sample{recorder: status.New("node-1", "weft run", "", status.Watcher, status.Applier), history: history.Open("", history.Limits{})}
	h := newHandler(t, s)
	code, _, text := get(t, h, "/")
	if code != 200 || !strings.Contains(text, "Not ready") || !strings.Contains(text, "no rules were proven yet") {
		t.Errorf("%d %s", code, text)
	}
	check(t, "/", text)
	if code, _, _ := get(t, h, "/rules"); code != 404 {
		t.Errorf("rules: %d", code)
	}
}
