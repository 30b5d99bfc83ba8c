package metrics_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"weft/cmd/weft/metrics"
	"weft/examples/lab/labtest"
)

const (
	examples  = "../../../examples/prometheus"
	dashboard = "../../../examples/grafana/weft.json"
)

// TestRules has promtool read the shipped rules, and try each alert with and
// without a reason.
func TestRules(t *testing.T) {
	promtool := labtest.RequireTool(t, "promtool")
	for _, args := range [][]string{
		{"check", "rules", "--lint=all", "--lint-fatal", "weft.rules.yaml"},
		{"check", "config", "prometheus.yaml"},
		{"test", "rules", "weft.rules_test.yaml"},
	} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = examples
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestEachAlertIsTried looks for alerts that no test wants to fire, or to be silent.
func TestEachAlertIsTried(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(examples, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	rules, tests := read("weft.rules.yaml"), read("weft.rules_test.yaml")
	for _, found := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(rules, -1) {
		fires := regexp.MustCompile(`alertname: ` + found[1] + `\n +exp_alerts:(\n +-)? *\[?\{`)
		silent := regexp.MustCompile(`alertname: ` + found[1] + `(, exp_alerts: \[\])?\}`)
		if !fires.MatchString(tests) || !silent.MatchString(tests) {
			t.Errorf("%s: fires in a test %v, is silent in one %v; want both", found[1], fires.MatchString(tests), silent.MatchString(tests))
		}
	}
	for _, found := range regexp.MustCompile(`- record: (\S+)`).FindAllStringSubmatch(rules, -1) {
		if !strings.Contains(tests, "- expr: "+found[1]+"\n") {
			t.Errorf("no test looks at %s", found[1])
		}
	}
}

// TestRulesNameMetrics looks for names that no agent has.
func TestRulesNameMetrics(t *testing.T) {
	known := metrics.Names()
	for _, path := range []string{filepath.Join(examples, "weft.rules.yaml"), dashboard} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`\bweft_[a-z_]+`).FindAllString(string(text), -1)
		if len(names) < 10 {
			t.Errorf("%s names %d metrics", path, len(names))
		}
		for _, name := range names {
			if !slices.Contains(known, regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(name, "")) {
				t.Errorf("%s: there is no metric %s", path, name)
			}
		}
	}
}

// TestPrometheus lets a real Prometheus scrape an agent and evaluate the rules.
func TestPrometheus(t *testing.T) {
	program := labtest.RequireTool(t, "prometheus")
	agent := httptest.NewServer(metrics.Handler(registry(t, busy(), true)))
	defer agent.Close()
	p := startPrometheus(t, program, strings.TrimPrefix(agent.URL, "http://"))
	p.waitFor(`weft_proven_generation{job="weft"}`, "7")
	p.waitFor(`weft_stage_failing{stage="render"}`, "1")
	p.waitFor(`count(weft_endpoint_share_ratio)`, "4")
	p.waitFor(`weft_stage_duration_seconds_bucket{stage="apply", le="0.004"}`, "1")
	p.waitFor(`ALERTS{alertname="WeftStageFailing", alertstate="pending"}`, "1")

	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	p.ask("/api/v1/rules", nil, &answer)
	rules := answer.Data.Groups[0].Rules
	if len(rules) < 10 {
		t.Errorf("%d rules", len(rules))
	}
	for _, r := range rules {
		if r.Health != "ok" {
			t.Errorf("rule %s is %s: %s", r.Name, r.Health, r.LastError)
		}
	}
	for _, query := range dashboardQueries(t) {
		var result struct{ Status, Error string }
		if p.ask("/api/v1/query", url.Values{"query": {query}}, &result); result.Status != "success" {
			t.Errorf("dashboard: %s: %s", query, result.Error)
		}
	}
	var targets struct {
		Data struct {
			ActiveTargets []struct{ Health, LastError string }
		}
	}
	p.ask("/api/v1/targets", nil, &targets)
	if got := targets.Data.ActiveTargets; len(got) != 1 || got[0].Health != "up" {
		t.Errorf("targets %+v", got)
	}
}

// dashboardQueries are those of the shipped dashboard, with its variables set.
func dashboardQueries(t *testing.T) (queries []string) {
	t.Helper()
	text, err := os.ReadFile(dashboard)
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	set := strings.NewReplacer("$job", ".*", "$instance", ".*", "$__rate_interval", "1m")
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			queries = append(queries, set.Replace(target.Expr))
		}
	}
	if len(queries) < 10 {
		t.Errorf("the dashboard has %d queries", len(queries))
	}
	return queries
}

type server struct {
	t   *testing.T
	url string
}

func startPrometheus(t *testing.T, program, target string) *server {
	t.Helper()
	dir := t.TempDir()
	rules, err := filepath.Abs(examples)
	if err != nil {
		t.Fatal(err)
	}
	config := "global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}\nrule_files: [" + rules +
		"/weft.rules.yaml]\nscrape_configs:\n- {job_name: weft, static_configs: [{targets: ['" + target + "']}]}\n"
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yaml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "--config.file="+filepath.Join(dir, "prometheus.yaml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=warn")
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Log(said.String())
		}
	})
	return &server{t, "http://" + address}
}

// waitFor waits until a query has one result with a value.
func (p *server) waitFor(query, value string) {
	p.t.Helper()
	var answer struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		p.ask("/api/v1/query", url.Values{"query": {query}}, &answer)
		if r := answer.Data.Result; len(r) == 1 && r[0].Value[1] == value {
			return
		}
	}
	p.t.Fatalf("%s: got %+v, want %s", query, answer.Data.Result, value)
}

func (p *server) ask(path string, query url.Values, into any) {
	p.t.Helper()
	answer, err := http.Get(p.url + path + "?" + query.Encode())
	if err != nil {
		return // it is still at its start
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil && answer.StatusCode == http.StatusOK {
		p.t.Fatal(err)
	}
}
