package e2e

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"weft/examples/lab"
	"weft/examples/lab/cluster"
)

// loadBalancerIP is what the LoadBalancer of the tests has. The client sends it
// to node1.
var loadBalancerIP = netip.MustParseAddr("10.34.4.200")

// path is a way from a machine or pod to a Service.
type path struct {
	name    string
	from    *lab.Host
	network string
	to      string
	// alike are paths whose choice of a pod is not to be compared, for a client
	// sticks to one.
	alike bool
}

// paths are what a client can do with the Services of testdata/beside.
func paths(c *cluster.Cluster) []path {
	client := &lab.Host{
		Namespace: c.Client, Host: "client",
		IPv4: netip.MustParseAddr("10.34.4.100"), IPv6: netip.MustParseAddr("fd34:4::100"),
	}
	node, pod, other := &c.Node().Host, c.Node().Pods[0], c.Node().Pods[1]
	at := func(port int) string { return fmt.Sprintf("%v:%d", c.Node().IPv4, port) }
	six := func(port int) string { return fmt.Sprintf("[%v]:%d", c.Node().IPv6, port) }
	return []path{
		{"web from outside", client, "tcp", at(30080), false},
		{"web from outside, IPv6", client, "tcp", six(30080), false},
		{"web from outside, UDP", client, "udp", at(30080), false},
		{"web from the node", node, "tcp", at(30080), false},
		{"web from the node by its loopback", node, "tcp", "127.0.0.1:30080", false},
		{"web from a pod behind it (hairpin)", pod, "tcp", at(30080), false},
		{"web from another pod", other, "tcp", at(30080), false},
		{"web's ClusterIP from a pod behind it", pod, "tcp", "10.43.0.80:80", false},
		{"local policy from outside", client, "tcp", at(30081), false},
		{"local policy from a pod", pod, "tcp", at(30081), false},
		{"affinity from outside", client, "tcp", at(30082), true},
		{"on one node, from outside", client, "tcp", at(30083), false},
		{"no endpoints, from outside", client, "tcp", at(30084), false},
		{"no endpoints, UDP", client, "udp", at(30084), false},
		{"no endpoints, ClusterIP", pod, "tcp", "10.43.0.84:80", false},
		{"load balancer, allowed source", client, "tcp", loadBalancerIP.String() + ":80", false},
		{"load balancer, other source", c.Control, "tcp", loadBalancerIP.String() + ":80", false},
		{"load balancer's NodePort, allowed source", client, "tcp", at(30085), false},
		{"load balancer's NodePort, other source", c.Control, "tcp", at(30085), false},
		{"near endpoints, from outside", client, "tcp", at(30090), false},
		{"switched off, from outside", client, "tcp", at(30086), false},
		{"ClusterIP from a pod", other, "tcp", "10.43.0.87:80", false},
		{"ClusterIP from the node", node, "tcp", "10.43.0.87:80", false},
		{"ClusterIP from outside", client, "tcp", "10.43.0.87:80", false},
		{"ClusterIP of the pod itself (hairpin)", pod, "tcp", "10.43.0.88:80", false},
		{"a ClusterIP that nobody has", pod, "tcp", "10.43.0.99:80", false},
		{"a port of a ClusterIP that nobody has", pod, "tcp", "10.43.0.87:81", false},
		{"a port of the node that nobody has", client, "tcp", at(30099), false},
	}
}

// tries is how many connections an observation is made of: enough that the
// least likely pod, with a fifth of them, is missed once in 600,000 observations
// (0.8^60).
const tries = 60

// observe tells for each path which pods answer, from which address they are
// asked, and what conntrack holds of it. It looks at several at a time, since who
// is not answered waits long.
func observe(t *testing.T, c *cluster.Cluster) map[string]string {
	t.Helper()
	all := paths(c)
	for _, p := range all {
		// What was before, in conntrack; an error means that nothing was.
		to := netip.MustParseAddrPort(p.to)
		_, _ = c.Node().Run("conntrack", "-D", "-p", p.network, "--orig-dst", to.Addr().String(), "--orig-port-dst", fmt.Sprint(to.Port()))
	}
	found := make([]string, len(all))
	var g errgroup.Group
	g.SetLimit(6)
	for i, p := range all {
		g.Go(func() error {
			found[i] = p.observe(t, c)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	seen := map[string]string{}
	for i, p := range all {
		seen[p.name] = found[i]
	}
	return seen
}

func (p path) observe(t *testing.T, c *cluster.Cluster) string {
	pods := answers(t.Context(), p)
	switch {
	case strings.HasPrefix(pods, "nobody"):
		return "answered by " + pods
	case p.alike:
		return fmt.Sprintf("answered by %d pods", len(strings.Fields(pods)))
	}
	seen := "answered by " + pods
	if p.network == "tcp" {
		seen += "; they see " + sources(t, p)
	}
	return seen + "; conntrack has " + entries(t, c, p)
}

// answers are the names of the pods, or why nobody answers.
func answers(ctx context.Context, p path) string {
	to := netip.MustParseAddrPort(p.to)
	// One first: who is not answered waits long. A SYN is sent again after one
	// second.
	first, cancel := context.WithTimeout(ctx, 2500*time.Millisecond)
	defer cancel()
	if _, err := lab.Count(first, p.from.Namespace, p.network, to, 1, 1); err != nil {
		return "nobody: " + why(err)
	}
	got, err := lab.Count(ctx, p.from.Namespace, p.network, to, tries, 8)
	if err != nil {
		return "some: " + err.Error()
	}
	return strings.Join(slices.Sorted(maps.Keys(got)), " ")
}

// why is a reason without times and counts.
func why(err error) string {
	for _, known := range []string{"refused", "no route", "unreachable"} {
		if strings.Contains(err.Error(), known) {
			return known
		}
	}
	for _, silence := range []string{"timeout", "deadline exceeded", "canceled"} {
		if strings.Contains(err.Error(), silence) {
			return "silence"
		}
	}
	return err.Error()
}

// sources are the addresses from which pods are asked.
func sources(t *testing.T, p path) string {
	t.Helper()
	found := map[string]bool{}
	for range tries / 2 {
		from, err := fetch(t.Context(), p.from.Namespace, "http://"+p.to+"/from")
		if err != nil {
			t.Errorf("%s: %v", p.name, err)
			break
		}
		found[from] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(found)), " ")
}

// fetch asks once, over a connection of its own.
func fetch(ctx context.Context, ns *lab.Namespace, url string) (string, error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
		err = ns.Do(func() error {
			var dialer net.Dialer
			conn, err = dialer.DialContext(ctx, network, addr)
			return err
		})
		return conn, err
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := (&http.Client{Transport: transport, Timeout: 5 * time.Second}).Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return strings.TrimSpace(string(body)), err
}

// entry is a line of conntrack(8): the tuple as it was asked, and as the answer
// comes back.
var entry = regexp.MustCompile(`src=(\S+) dst=(\S+) sport=\d+ dport=(\d+) (?:\[UNREPLIED\] )?src=(\S+) dst=(\S+) sport=(\d+) dport=\d+ .*?(mark=\d+)`)

// entries are the translations that conntrack holds of a path, without what
// differs from one connection to the next.
func entries(t *testing.T, c *cluster.Cluster, p path) string {
	t.Helper()
	to := netip.MustParseAddrPort(p.to)
	family := "ipv4"
	if to.Addr().Is6() {
		family = "ipv6"
	}
	out, err := c.Node().Run("conntrack", "-L", "-f", family, "-p", p.network, "--orig-dst", to.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, m := range entry.FindAllStringSubmatch(string(out), -1) {
		if m[3] == fmt.Sprint(to.Port()) && p.mayComeFrom(m[1]) {
			found[fmt.Sprintf("%s>%s:%s=%s:%s>%s(%s)", m[1], m[2], m[3], m[4], m[6], m[5], m[7])] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(found)), " ")
}

// mayComeFrom tells the entries of others, who asked the same a minute ago.
func (p path) mayComeFrom(addr string) bool {
	return addr == p.from.IPv4.String() || addr == p.from.IPv6.String() || addr == "127.0.0.1"
}

// announce gives the LoadBalancer its address, as a cloud's controller does, and
// those who use it a way there.
func announce(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	status := fmt.Sprintf(`{"status": {"loadBalancer": {"ingress": [{"ip": %q, "ipMode": "VIP"}]}}}`, loadBalancerIP)
	if _, err := c.Kubectl(t.Context(), nil, "patch", "service", "balanced", "--subresource=status", "--patch", status); err != nil {
		t.Fatal(err)
	}
	for _, ns := range []*lab.Namespace{c.Client, c.Control.Namespace} {
		for _, to := range []string{loadBalancerIP.String() + "/32", cluster.ServiceCIDRs[0].String()} {
			if _, err := ns.Run("ip", "route", "add", to, "via", c.Node().IPv4.String()); err != nil {
				t.Fatal(err)
			}
		}
	}
}
