package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// clusterOf answers as an API server whose objects never change, and as a Prometheus
// that knows nothing until busy is set. Both are there for their log alone: the real
// ones are examples/e2e's.
type clusterOf struct{ busy atomic.Bool }

func (c *clusterOf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch query := r.URL.Query(); {
	case r.URL.Path == "/api/v1/query":
		fmt.Fprint(w, c.usage())
	case query.Get("sendInitialEvents") == "true": // not known to older servers
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422,"message":"sendInitialEvents is forbidden"}`)
	case query.Get("watch") != "":
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case lists[r.URL.Path] != "":
		fmt.Fprint(w, lists[r.URL.Path])
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
	}
}

func (c *clusterOf) usage() string {
	result := ""
	if c.busy.Load() {
		now := time.Now().Unix()
		result = fmt.Sprintf(`{"metric":{"node":"n1","weft":"ratio"},"value":[%d,"0.25"]},{"metric":{"node":"n2","weft":"ratio"},"value":[%d,"0.25"]}`, now, now)
	}
	return `{"status":"success","data":{"resultType":"vector","result":[` + result + `]}}`
}

// lists are a cluster with the Service web on two nodes, single on one, and none
// without endpoints.
var lists = map[string]string{
	"/api/v1/services": `{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[` +
		service("web", 30080) + "," + service("single", 30081) + "," + service("none", 30082) + `]}`,
	"/apis/discovery.k8s.io/v1/endpointslices": `{"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1","metadata":{"resourceVersion":"1"},"items":[` +
		slice("web", endpoint("198.51.100.1", "n1"), endpoint("198.51.100.2", "n2")) + "," + slice("single", endpoint("198.51.100.1", "n1")) + "," + slice("none") + `]}`,
	"/api/v1/nodes": `{"kind":"NodeList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[` + node("n1", "192.0.2.1") + "," + node("n2", "192.0.2.2") + `]}`,
}

func service(name string, port int) string {
	return fmt.Sprintf(`{"metadata":{"name":%[1]q,"namespace":"ns","uid":%[2]q},"spec":{"type":"NodePort","clusterIP":"10.96.0.%[3]d","clusterIPs":["10.96.0.%[3]d"],"ipFamilies":["IPv4"],"ports":[{"port":80,"nodePort":%[4]d,"protocol":"TCP"}]}}`, name, name, port%100+1, port)
}

func slice(name string, endpoints ...string) string {
	return fmt.Sprintf(`{"metadata":{"name":"%s-1","namespace":"ns","labels":{"kubernetes.io/service-name":%q}},"addressType":"IPv4","ports":[{"name":"","port":80,"protocol":"TCP"}],"endpoints":[%s]}`,
		name, name, strings.Join(endpoints, ","))
}

func endpoint(address, node string) string {
	return fmt.Sprintf(`{"addresses":[%q],"nodeName":%q,"conditions":{"ready":true}}`, address, node)
}

func node(name, address string) string {
	return fmt.Sprintf(`{"metadata":{"name":%q},"status":{"addresses":[{"type":"InternalIP","address":%q}]}}`, name, address)
}

const kubeconfig = `{"apiVersion":"v1","kind":"Config","current-context":"c","clusters":[{"name":"c","cluster":{"server":"URL"}}],` +
	`"contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"users":[{"name":"u","user":{}}]}`

// counterparts are, for each kind of message that the prototype's log had, what weft
// says instead, and how often: once where it tells of a transition, and any number of
// times (0) where it tells of each measurement or transaction.
var counterparts = []struct {
	about, level, component, message, attributes string
	times                                        int
}{
	{"the program starts", "INFO", "agent", "starting", `"command":"weft run"`, 1},
	{"its parts start", "DEBUG", "serve", "answering", `weft.sock`, 1},
	{"its source is known", "INFO", "source", "caches filled", ``, 1},
	{"the tables, sets, chains and rules of the base", "DEBUG", "apply", "loading", `"what":"everything".*"transaction":"table ip weft .*nodeport-ips`, 1},
	{"the chain of a Service", "DEBUG", "apply", "loading", `goto svc-[A-Z0-9]{8}-ns/web/tcp/`, 1},
	{"the rules are modified", "INFO", "apply", "rules proven", `"generation":1`, 1},
	{"endpoints change, and which on which node", "DEBUG", "watch", "ServicePort changed", `"ns/web".*"198.51.100.1:80 0.5 on n1, 198.51.100.2:80 0.5 on n2"`, 1},
	{"a Service on one node is passed over", "INFO", "watch", "ServicePort left to kube-proxy", `"ns/single".*"reason":"endpoints on 1 of at least 2 nodes"`, 1},
	{"a slice is empty, a Service has no endpoints", "INFO", "watch", "ServicePort left to kube-proxy", `"ns/none".*"reason":"no endpoint serves"`, 1},
	{"a latency, and a node has it", "DEBUG", "watch", "node measured", `"node":"n1","latency":0\.\d+`, 0},
	{"the answer of Prometheus is empty", "WARN", "usage", "CPU use of nodes not known", ``, 1},
	{"Prometheus answers again", "INFO", "usage", "Prometheus knows the CPU use of all nodes again", ``, 1},
	{"what client-go's klog has to say", "DEBUG", "client-go", "Caches populated", ``, 3},
	{"a CPU use, and a node has it", "DEBUG", "watch", "node measured", `"node":"n1".*"cpu":0\.25`, 0},
}

// TestCounterparts has weft say each of them.
func TestCounterparts(t *testing.T) {
	weft := build(t)
	l := prepare(t)
	cluster := &clusterOf{}
	server := httptest.NewUnstartedServer(cluster)
	server.Listener.Close()
	if err := l.ns.Do(func() (err error) { server.Listener, err = net.Listen("tcp", "127.0.0.1:0"); return err }); err != nil {
		t.Fatal(err)
	}
	server.Start()
	for _, address := range []string{"192.0.2.1/32", "192.0.2.2/32"} { // both nodes answer a ping
		if out, err := l.ns.Run("ip", "address", "add", address, "dev", "lo"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	l.write("kubeconfig", strings.Replace(kubeconfig, "URL", server.URL, 1))
	l.write("weft.yaml", strings.NewReplacer("URL", server.URL).Replace(`node: n1
state: run/state.yaml
history: run/history
lock: run/lock
socket: run/weft.sock
listen: ''
source: kubernetes
kubeconfig: kubeconfig
events: false
probe: icmp
probeInterval: 1s
cpu: prometheus
prometheusUrl: URL
prometheusQuery: busy
prometheusInterval: 1s
policy: static
slowStart: 0
`))
	l.begin(weft, "--log-format", "json", "--log-level", "debug")
	l.says("CPU use of nodes not known")
	l.says("rules proven")
	cluster.busy.Store(true)
	l.says("Prometheus knows")
	l.finds(`"msg":"node measured".*"latency":0\.\d+,"cpu":0\.25`)
	l.end(syscall.SIGTERM)
	for _, want := range counterparts {
		if got := l.matching(want.level, want.component, want.message, want.attributes); got == 0 || want.times > 0 && got != want.times {
			t.Errorf("%s: %s %s %q %s is said %d times, want %d (0 is any)\n%s", want.about, want.level, want.component, want.message, want.attributes, got, want.times, l.read("log"))
		}
	}
}

// finds waits for a line of the log that matches.
func (l *live) finds(pattern string) {
	l.t.Helper()
	for end := time.Now().Add(20 * time.Second); !regexp.MustCompile(pattern).MatchString(l.read("log")); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("nobody says %s:\n%s", pattern, l.read("log"))
		}
	}
}

// matching counts lines of the log.
func (l *live) matching(level, component, message, attributes string) (n int) {
	l.t.Helper()
	for line := range strings.Lines(l.read("log")) {
		var said logLine
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			l.t.Fatalf("%q: %v", line, err)
		}
		if said.Level == level && said.Component == component && said.Msg == message && regexp.MustCompile(attributes).MatchString(line) {
			n++
		}
	}
	return n
}
