package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"weft/examples/lab"
	"weft/examples/lab/cluster"
	"weft/examples/lab/labtest"
)

// BenchmarkBesideKubeProxy runs weft and kube-proxy, both with their defaults, in
// one node's namespace on the same Services of ten endpoints each, and reports
//
//   - how long both take from their start to complete rules,
//   - how long a change of an EndpointSlice takes from the API server's answer to
//     weft's proven rule and to the commit of kube-proxy's: median and 99th
//     percentile,
//   - resident memory, and the CPU that both and their nft use while nothing
//     changes and while ten slices a second change, in parts of one core. weft
//     measures nodes and renews its heartbeat all the while,
//   - what a change costs kube-proxy and its nft before there is a table of weft's,
//     and beside one that a killed weft left: median time and CPU.
//
// Other load on the machine falls on both.
func BenchmarkBesideKubeProxy(b *testing.B) {
	for n, changes := range map[int]int{1: 50, wholeRange: 30} {
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			begin := time.Now()
			step := func(what string) { b.Logf("%s after %v", what, time.Since(begin).Round(time.Second)) }
			r := newRace(b, n)
			step("cluster made")
			r.startProxy()
			r.alone(max(b.N, 15), "without-table")
			r.start()
			step("started")
			r.idle(2 * time.Minute)
			r.changes(max(b.N, changes))
			step("changed")
			r.churn(15 * time.Second)
			r.weft.Kill()
			r.alone(max(b.N, 15), "beside-table")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkInstall reports how long it takes from the start of kubectl apply -k
// of the manifests until the readiness probe of weft's pod on a node is answered
// well, beside the same Services. There is no image to be pulled and no kubelet to
// be waited for: the pod starts when kubectl is done.
func BenchmarkInstall(b *testing.B) {
	for _, n := range []int{1, wholeRange} {
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			r := newRace(b, n)
			weft := buildWeft(b)
			if _, err := r.StartKubeProxy(b.Context(), r.Node(), cluster.ProxyOptions{Mode: cluster.NFTables}); err != nil {
				b.Fatal(err)
			}
			begin := time.Now()
			if _, err := r.Kubectl(b.Context(), nil, "apply", "-k", filepath.Join(manifests, "base")); err != nil {
				b.Fatal(err)
			}
			applied := time.Now()
			pod, err := r.RunDaemonSet(b.Context(), r.Node(), "weft", "weft", map[string]string{"weft": weft})
			if err != nil {
				b.Fatal(err)
			}
			if err := pod.AwaitReady(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(applied.Sub(begin).Seconds(), "kubectl-s")
			b.ReportMetric(time.Since(begin).Seconds(), "apply-to-ready-s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// race is a cluster with both programs on node1.
type race struct {
	*cluster.Cluster
	b           testing.TB
	client      *kubernetes.Clientset
	services    int
	weft, proxy *cluster.Process
	seen        int            // how much of weft's log was read
	firsts      map[int]uint32 // the first endpoint of Services that were changed
}

func newRace(b testing.TB, services int) *race {
	r := &race{b: b, services: services, firsts: map[int]uint32{}, Cluster: labtest.StartCluster(b, cluster.Options{Lab: lab.Options{Nodes: 3, Pods: 4}})}
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(r.Dir, "admin.kubeconfig"))
	if err == nil {
		err = rest.LoadTLSFiles(config)
	}
	if err != nil {
		b.Fatal(err)
	}
	config.CertFile, config.KeyFile = "", "" // which go with the cluster
	config.QPS = -1
	config.Dial = func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		err = r.Control.Do(func() error {
			conn, err = new(net.Dialer).DialContext(ctx, network, address)
			return err
		})
		return conn, err
	}
	if r.client, err = kubernetes.NewForConfig(config); err != nil {
		b.Fatal(err)
	}
	g, ctx := errgroup.WithContext(b.Context())
	g.SetLimit(8)
	for i := range services {
		g.Go(func() error { return r.create(ctx, i) })
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	return r
}

// report tells a figure; a test has nobody to tell.
func (r *race) report(value float64, unit string) {
	if b, ok := r.b.(*testing.B); ok {
		b.ReportMetric(value, unit)
	}
}

func (r *race) create(ctx context.Context, i int) error {
	_, err := r.client.CoreV1().Services("default").Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name(i)},
		Spec: corev1.ServiceSpec{
			Type:  corev1.ServiceTypeNodePort,
			Ports: []corev1.ServicePort{{Name: "http", Port: 80, NodePort: int32(30000 + i), TargetPort: intstr.FromInt32(8080)}},
		},
	}, metav1.CreateOptions{})
	if err == nil {
		_, err = r.client.DiscoveryV1().EndpointSlices("default").Create(ctx, r.slice(i, 0), metav1.CreateOptions{})
	}
	return err
}

func name(i int) string { return fmt.Sprintf("service-%04d", i) }

// slice has ten of the twelve pods. The first is one of three.
func (r *race) slice(i int, first uint32) *discoveryv1.EndpointSlice {
	port, portName, tcp, ready := int32(8080), "http", corev1.ProtocolTCP, true
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name(i), Labels: map[string]string{discoveryv1.LabelServiceName: name(i)}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &portName, Port: &port, Protocol: &tcp}},
	}
	pods := r.Pods()
	for _, pod := range append([]*lab.Host{pods[9+first%3]}, pods[:9]...) {
		node, _, _ := strings.Cut(pod.Host, "-")
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{pod.IPv4.String()}, NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
		})
	}
	return s
}

// change replaces the first endpoint of a Service by one that it did not have, and
// returns when the API server had it.
func (r *race) change(i int) (time.Time, error) {
	r.firsts[i]++
	_, err := r.client.DiscoveryV1().EndpointSlices("default").Update(r.b.Context(), r.slice(i, r.firsts[i]), metav1.UpdateOptions{})
	return time.Now(), err
}

// since is the time from the API server's answer to what followed from the
// change. Watches may tell of it before the answer does: that is no time.
func since(answer, at time.Time) time.Duration { return max(0, at.Sub(answer)) }

// startProxy comes before weft, so that neither waits for the other's CPU.
func (r *race) startProxy() {
	buildWeft(r.b)
	r.b.Helper()
	begin := time.Now()
	proxy, err := r.StartKubeProxy(r.b.Context(), r.Node(), cluster.ProxyOptions{Mode: cluster.NFTables})
	if err != nil {
		r.b.Fatal(err)
	}
	r.proxy = proxy
	r.report(time.Since(begin).Seconds(), "kube-proxy-start-s")
}

func (r *race) start() {
	r.b.Helper()
	begin := time.Now()
	r.startWeft()
	r.report(r.proven(begin).Sub(begin).Seconds(), "weft-start-s")
}

// startWeft keeps what weft writes in memory, as /run is.
func (r *race) startWeft(flags ...string) {
	run := filepath.Join(r.Dir, "run")
	if err := os.Mkdir(run, 0o755); err != nil {
		r.b.Fatal(err)
	}
	cmd := exec.Command("unshare", append([]string{
		"--mount", "sh", "-euc", `mount -t tmpfs weft "$0" && exec "$@"`, run,
		buildWeft(r.b), "run", "--source=kubernetes", "--node=node1", "--listen=",
		"--kubeconfig=" + filepath.Join(r.Dir, "admin.kubeconfig"),
		"--state=" + filepath.Join(run, "state.yaml"), "--history=" + filepath.Join(run, "history"),
		"--lock=" + filepath.Join(run, "lock"), "--socket=" + filepath.Join(run, "socket"),
	}, flags...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/sbin:" + os.Getenv("PATH"), "HOME=" + r.Dir}
	var err error
	if r.weft, err = r.Launch(r.Node().Namespace, "weft", cmd); err != nil {
		r.b.Fatal(err)
	}
}

var (
	proven  = regexp.MustCompile(`(?m)^time=(\S+) .*msg="rules proven`)
	written = regexp.MustCompile(`(?m)^time=(\S+) .*msg="state written`)
)

// proven waits for weft to say that rules are proven after a time, and returns
// when it said so.
func (r *race) proven(after time.Time) time.Time { return r.said(proven, after) }

// said waits for a line of weft's log from after a time, and returns its own, to
// the millisecond that the log has.
func (r *race) said(what *regexp.Regexp, after time.Time) time.Time {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		log, err := os.ReadFile(r.weft.Log)
		if err != nil {
			r.b.Fatal(err)
		}
		end := strings.LastIndexByte(string(log), '\n') + 1
		fresh := string(log[r.seen:end])
		for _, match := range what.FindAllStringSubmatch(fresh, -1) {
			at, err := time.Parse(time.RFC3339Nano, match[1])
			if err == nil && at.After(after.Truncate(time.Millisecond)) {
				return at
			}
		}
	}
	r.b.Fatalf("weft does not say %v. %s", what, r.weft.LastWords())
	return time.Time{}
}

// changes makes single changes with a pause after each.
func (r *race) changes(n int) {
	var wrote, weft, proxy []time.Duration
	commits := r.listen()
	for range n {
		if log, err := os.Stat(r.weft.Log); err == nil {
			r.seen = int(log.Size())
		}
		i, asked := rand.IntN(r.services), time.Now()
		at, err := r.change(i)
		if err != nil {
			r.b.Fatal(err)
		}
		proxy = append(proxy, since(at, commits.await(r.b, "default/"+name(i)+"/tcp", at)))
		wrote, weft = append(wrote, since(at, r.said(written, asked))), append(weft, since(at, r.proven(asked)))
		time.Sleep(time.Second + rand.N(300*time.Millisecond))
	}
	if testing.Verbose() {
		r.b.Log(r.weft.LastWords())
	}
	for name, took := range map[string][]time.Duration{"weft-state": wrote, "weft": weft, "kube-proxy": proxy} {
		slices.Sort(took)
		r.report(float64(took[len(took)/2].Microseconds())/1000, name+"-p50-ms")
		r.report(float64(took[len(took)*99/100].Microseconds())/1000, name+"-p99-ms")
	}
}

// alone makes single changes that only kube-proxy follows.
func (r *race) alone(n int, when string) {
	time.Sleep(5 * time.Second) // what came before is done
	var took []time.Duration
	commits, before := r.listen(), used(r.b, r.proxy)
	for range n {
		i := rand.IntN(r.services)
		at, err := r.change(i)
		if err != nil {
			r.b.Fatal(err)
		}
		took = append(took, since(at, commits.await(r.b, "default/"+name(i)+"/tcp", at)))
		time.Sleep(time.Second + rand.N(300*time.Millisecond))
	}
	slices.Sort(took)
	r.report(float64(took[len(took)/2].Microseconds())/1000, "kube-proxy-"+when+"-p50-ms")
	r.report((used(r.b, r.proxy)-before).Seconds()/float64(n)*1000, "kube-proxy-"+when+"-cpu-ms")
}

// settled is when weft has measured the nodes, shares follow them, and the memory that
// this took is given back.
const settled = 40 * time.Second

// idle looks at both while nothing changes, once what their start left to do is
// done. Of their memory it reports what it was in the middle, and at most.
func (r *race) idle(d time.Duration) {
	time.Sleep(settled)
	both := []*cluster.Process{r.weft, r.proxy}
	memory := map[string][]int{}
	r.cores("-idle-cores", func() {
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
			for _, p := range both {
				memory[p.Name] = append(memory[p.Name], resident(r.b, p))
			}
		}
	})
	for _, p := range both {
		slices.Sort(memory[p.Name])
		r.report(float64(memory[p.Name][len(memory[p.Name])/2]), p.Name[:4]+"-idle-MB")
		r.report(float64(memory[p.Name][len(memory[p.Name])-1]), p.Name[:4]+"-idle-most-MB")
	}
}

// cores reports how much of a core both use while something is done.
func (r *race) cores(unit string, do func()) {
	both := []*cluster.Process{r.weft, r.proxy}
	before := [2]time.Duration{used(r.b, both[0]), used(r.b, both[1])}
	begin := time.Now()
	do()
	for i, p := range both {
		r.report((used(r.b, p)-before[i]).Seconds()/time.Since(begin).Seconds(), p.Name[:4]+unit)
	}
}

// churn changes ten slices a second.
func (r *race) churn(d time.Duration) {
	r.cores("-cores", func() { r.tenASecond(d) })
	for _, p := range []*cluster.Process{r.weft, r.proxy} {
		r.report(float64(resident(r.b, p)), p.Name[:4]+"-MB")
	}
}

func (r *race) tenASecond(d time.Duration) {
	begin := time.Now()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for time.Since(begin) < d {
		<-ticker.C
		if _, err := r.change(rand.IntN(r.services)); err != nil {
			r.b.Fatal(err)
		}
	}
}
