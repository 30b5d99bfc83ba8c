package preflight_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/render/nft"
	"weft/render/preflight"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func check(t *testing.T, ns *lab.Namespace, opts preflight.Options, before func() error) []preflight.Finding {
	t.Helper()
	var findings []preflight.Finding
	opts.Table = "weft"
	if opts.Priority == 0 {
		opts.Priority = -150
	}
	err := ns.Do(func() error {
		if before != nil {
			if err := before(); err != nil {
				return err
			}
		}
		findings = preflight.Run(t.Context(), opts)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return findings
}

// wants fails the test unless exactly one finding of the check has the text,
// with the level, and with advice if it is bad.
func wants(t *testing.T, findings []preflight.Finding, name string, level preflight.Level, found string) {
	t.Helper()
	var lines []string
	for _, f := range findings {
		lines = append(lines, f.Level.String()+" "+f.Check+": "+f.Found)
	}
	i := slices.IndexFunc(findings, func(f preflight.Finding) bool { return f.Check == name && strings.Contains(f.Found, found) })
	if i < 0 || findings[i].Level != level {
		t.Errorf("no %v of %s with %q in:\n%s", level, name, found, strings.Join(lines, "\n"))
		return
	}
	if f := findings[i]; (f.Advice == "") != (level == preflight.OK) {
		t.Errorf("advice for %s %s is %q", f.Level, f.Check, f.Advice)
	}
}

// router is a namespace in which all is well.
func router(t *testing.T) *lab.Namespace {
	t.Helper()
	ns := labtest.Scratch(t)
	sysctl(t, ns, "net/ipv4/ip_forward", "1")
	sysctl(t, ns, "net/ipv6/conf/all/forwarding", "1")
	return ns
}

func sysctl(t *testing.T, ns *lab.Namespace, name, value string) {
	t.Helper()
	if err := ns.Do(func() error { return os.WriteFile("/proc/sys/"+name, []byte(value), 0) }); err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, ns *lab.Namespace, text string) {
	t.Helper()
	if err := ns.Load(text); err != nil {
		t.Fatal(err)
	}
}

func TestAllIsWell(t *testing.T) {
	ns := router(t)
	// Its own table is no stranger, whatever is in it, and a table that accepts
	// or comes later is none to speak of.
	load(t, ns, `table ip weft {
	chain prerouting { type nat hook prerouting priority -150; }
	chain forward { type filter hook forward priority 0; policy drop; }
}
table inet other {
	chain later { type nat hook prerouting priority -100; }
	chain source { type nat hook postrouting priority -150; }
	chain mangle { type filter hook prerouting priority -150; }
	chain forward { type filter hook forward priority 0; policy accept; }
	chain input { type filter hook input priority 0; policy drop; }
}
table bridge other {
	chain forward { type filter hook forward priority 0; policy drop; }
}
`)
	findings := check(t, ns, preflight.Options{}, nil)
	if got := preflight.Worst(findings); got != preflight.OK {
		t.Errorf("worst is %v", got)
	}
	wants(t, findings, "capabilities", preflight.OK, "CAP_NET_ADMIN")
	wants(t, findings, "nft", preflight.OK, "version 1.")
	wants(t, findings, "kernel features (ip)", preflight.OK, "all 9")
	wants(t, findings, "kernel features (ip6)", preflight.OK, "all 9")
	wants(t, findings, "forwarding policy", preflight.OK, "")
	wants(t, findings, "nat priority", preflight.OK, "-150")
	wants(t, findings, "connection tracking", preflight.OK, "entries")
	wants(t, findings, "kube-proxy", preflight.OK, "none found")
	out, err := ns.Run("nft", "list", "tables")
	if want := "table ip weft\ntable inet other\ntable bridge other\n"; err != nil || string(out) != want {
		t.Errorf("the check left %q behind, %v", out, err)
	}
}

func TestCapabilities(t *testing.T) {
	findings := check(t, router(t), preflight.Options{}, func() error { // on a thread that ends with it
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		if err := unix.Capget(&header, &data[0]); err != nil {
			return err
		}
		data[0].Effective &^= 1 << unix.CAP_NET_ADMIN // all others stay
		return unix.Capset(&header, &data[0])
	})
	wants(t, findings, "capabilities", preflight.Error, "no CAP_NET_ADMIN")
	wants(t, findings, "base chains", preflight.Warning, "operation not permitted")
	wants(t, findings, "connection tracking", preflight.Warning, "operation not permitted")
}

// script is a stand-in for nft.
func script(t *testing.T, text string) nft.Runner {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nft")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return nft.Runner{Path: path}
}

func TestNft(t *testing.T) {
	ns := router(t)
	findings := check(t, ns, preflight.Options{Runner: nft.Runner{Path: "/nowhere/nft"}}, nil)
	wants(t, findings, "nft", preflight.Error, "/nowhere/nft")
	if slices.ContainsFunc(findings, func(f preflight.Finding) bool { return strings.HasPrefix(f.Check, "kernel features") }) {
		t.Error("without nft there is nothing to try features with")
	}
	wants(t, findings, "forwarding policy", preflight.OK, "")
	for version, level := range map[string]preflight.Level{"1.0.5": preflight.Error, "0.9.8": preflight.Error, "1.0.6": preflight.OK, "1.1": preflight.OK, "2.0.0": preflight.OK} {
		old := script(t, `[ "$1" = --version ] && { echo "nftables v`+version+` (Name)"; exit; }; exec nft "$@"`)
		findings := check(t, ns, preflight.Options{Runner: old}, nil)
		wants(t, findings, "nft", level, "version "+version)
	}
}

// Each feature that is missing has its name, and no other. The stand-in refuses
// what has the words, as a kernel without the feature does.
func TestFeatures(t *testing.T) {
	ns := router(t)
	cases := []struct {
		words, name string
		level       preflight.Level
	}{
		{"hook output", "nat chains", preflight.Error},
		{"flags timeout", "sets with timeouts", preflight.Error},
		{"vmap", "verdict maps", preflight.Error},
		{"numgen random mod 100 <", "random numbers", preflight.Error},
		{"mod 100 map", "maps from numgen", preflight.Warning},
		{"fully-random", "masquerade fully-random", preflight.Error},
		{"ct original proto-dst", "conntrack's original", preflight.Error},
		{"fib", "fib", preflight.Warning},
		{"jhash", "hashes", preflight.Warning},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			runner := script(t, `[ "$1" = --version ] && exec nft --version
text=$(cat)
case $text in *"`+c.words+`"*) echo '/dev/stdin:1:1-2: Error: Could not process rule: Operation not supported' >&2; exit 1;; esac
printf '%s\n' "$text" | nft "$@"`)
			findings := check(t, ns, preflight.Options{Runner: runner, IPv6: true}, nil)
			wants(t, findings, "kernel features (ip6)", c.level, c.name)
			n := 0
			for _, f := range findings {
				if strings.HasPrefix(f.Check, "kernel features") {
					n++
					if !strings.Contains(f.Found, "Operation not supported") {
						t.Errorf("%s: %q does not say why", f.Check, f.Found)
					}
				}
			}
			if n != 1 {
				t.Errorf("%d findings about features, want 1", n)
			}
		})
	}
}

// A kernel without IPv6 NAT stops only a node that needs it.
func TestFeaturesOfFamilies(t *testing.T) {
	ns := router(t)
	runner := script(t, `[ "$1" = --version ] && exec nft --version
text=$(cat)
case $text in "table ip6 "*nat*) echo 'no ip6 nat' >&2; exit 1;; esac
printf '%s\n' "$text" | nft "$@"`)
	unknown := check(t, ns, preflight.Options{Runner: runner}, nil)
	wants(t, unknown, "kernel features (ip6)", preflight.Warning, "nat chains")
	wants(t, unknown, "kernel features (ip)", preflight.OK, "all")
	needed := check(t, ns, preflight.Options{Runner: runner, IPv4: true, IPv6: true}, nil)
	wants(t, needed, "kernel features (ip6)", preflight.Error, "nat chains")
	without := check(t, ns, preflight.Options{Runner: runner, IPv4: true}, nil)
	if got := preflight.Worst(without); got != preflight.OK {
		t.Errorf("worst without IPv6 is %v", got)
	}
}

func TestForwarding(t *testing.T) {
	cases := []struct {
		name   string
		v4, v6 string
		opts   preflight.Options
		want   [2]preflight.Level
	}{
		{"neither", "0", "0", preflight.Options{}, [2]preflight.Level{preflight.Error, preflight.Error}},
		{"IPv4", "1", "0", preflight.Options{}, [2]preflight.Level{preflight.OK, preflight.Warning}},
		{"IPv6", "0", "1", preflight.Options{}, [2]preflight.Level{preflight.Warning, preflight.OK}},
		{"both needed", "1", "0", preflight.Options{IPv4: true, IPv6: true}, [2]preflight.Level{preflight.OK, preflight.Error}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ns := router(t)
			sysctl(t, ns, "net/ipv4/ip_forward", c.v4)
			sysctl(t, ns, "net/ipv6/conf/all/forwarding", c.v6)
			findings := check(t, ns, c.opts, nil)
			wants(t, findings, "IPv4 forwarding", c.want[0], "net.ipv4.ip_forward is "+c.v4)
			wants(t, findings, "IPv6 forwarding", c.want[1], "net.ipv6.conf.all.forwarding is "+c.v6)
		})
	}
}

func TestForwardPolicy(t *testing.T) {
	for _, family := range []string{"ip", "ip6", "inet"} {
		ns := router(t)
		load(t, ns, "table "+family+" docker {\n\tchain FWD {\n\t\ttype filter hook forward priority 0; policy drop;\n\t}\n}\n")
		wants(t, check(t, ns, preflight.Options{}, nil), "forwarding policy", preflight.Warning, "policy drop in chain FWD of table "+family+" docker")
	}
}

func TestNatPriority(t *testing.T) {
	for _, hook := range []string{"prerouting", "output"} {
		ns := router(t)
		load(t, ns, "table ip other {\n\tchain c {\n\t\ttype nat hook "+hook+" priority -150;\n\t}\n\tchain d {\n\t\ttype nat hook "+hook+" priority -160;\n\t}\n}\n")
		findings := check(t, ns, preflight.Options{}, nil)
		wants(t, findings, "nat priority", preflight.Warning, "chain c of table ip other has weft's own priority -150")
		wants(t, findings, "nat priority", preflight.Warning, "chain d of table ip other goes before weft")
		wants(t, check(t, ns, preflight.Options{Priority: -170}, nil), "nat priority", preflight.OK, "")
	}
}

func TestProxies(t *testing.T) {
	const iptables = "table ip nat {\n\tchain KUBE-SERVICES {\n\t}\n}\n"
	cases := []struct {
		name  string
		make  func(t *testing.T, ns *lab.Namespace)
		proxy string
	}{
		{"nftables", func(t *testing.T, ns *lab.Namespace) {
			load(t, ns, "table ip6 kube-proxy {\n\tchain services {\n\t}\n}\n")
		}, "mode nftables"},
		{"iptables", func(t *testing.T, ns *lab.Namespace) { load(t, ns, iptables) }, "mode iptables"},
		{"ipvs", func(t *testing.T, ns *lab.Namespace) { load(t, ns, iptables); link(t, ns, "kube-ipvs0") }, "mode ipvs"},
		{"none", func(*testing.T, *lab.Namespace) {}, "none found"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ns := router(t)
			c.make(t, ns)
			findings := check(t, ns, preflight.Options{}, nil)
			wants(t, findings, "kube-proxy", preflight.OK, c.proxy)
			if slices.ContainsFunc(findings, func(f preflight.Finding) bool { return f.Check == "Cilium" }) {
				t.Error("there is no Cilium")
			}
			link(t, ns, "cilium_host")
			findings = check(t, ns, preflight.Options{}, nil)
			if c.name == "none" {
				wants(t, findings, "Cilium", preflight.Warning, "no kube-proxy")
			} else {
				wants(t, findings, "Cilium", preflight.OK, "beside kube-proxy")
			}
		})
	}
}

func link(t *testing.T, ns *lab.Namespace, name string) {
	t.Helper()
	if _, err := ns.Run("ip", "link", "add", name, "type", "bridge"); err != nil {
		t.Fatal(err)
	}
}
