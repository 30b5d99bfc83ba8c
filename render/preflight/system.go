package preflight

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"weft/render/verify/nfnl"
)

// capabilities looks at the calling thread's.
func capabilities() Finding {
	const check = "capabilities"
	const advice = "Run weft as root, or give it CAP_NET_ADMIN (in a pod: securityContext.capabilities.add: [NET_ADMIN])."
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return Finding{check, Warning, "read the capabilities: " + err.Error(), advice}
	}
	if data[0].Effective&(1<<unix.CAP_NET_ADMIN) == 0 {
		return Finding{check, Error, "no CAP_NET_ADMIN", advice}
	}
	return Finding{check, OK, "CAP_NET_ADMIN", ""}
}

// forwarding looks at whether the node forwards packets at all. Where the
// families are not known, one that does not forward is no more than a warning,
// as long as the other does.
func forwarding(opts Options) []Finding {
	unknown := !opts.IPv4 && !opts.IPv6
	v4 := sysctlFinding("IPv4 forwarding", "net/ipv4/ip_forward")
	v6 := sysctlFinding("IPv6 forwarding", "net/ipv6/conf/all/forwarding")
	if unknown && (v4.Level == OK || v6.Level == OK) {
		v4.Level, v6.Level = min(v4.Level, Warning), min(v6.Level, Warning)
	}
	var findings []Finding
	if opts.IPv4 || unknown {
		findings = append(findings, v4)
	}
	if opts.IPv6 || unknown {
		findings = append(findings, v6)
	}
	return findings
}

// sysctlFinding wants a switch to be on in the calling thread's namespace,
// which is where /proc/sys/net leads.
func sysctlFinding(check, name string) Finding {
	dotted := strings.ReplaceAll(name, "/", ".")
	text, err := os.ReadFile("/proc/sys/" + name)
	switch value := strings.TrimSpace(string(text)); {
	case errors.Is(err, fs.ErrNotExist):
		return Finding{check, Error, "this kernel has no " + dotted, "Use only addresses of the other family, or a kernel that has this one."}
	case err != nil:
		return Finding{check, Warning, err.Error(), "Look yourself whether " + dotted + " is 1."}
	case value == "0":
		return Finding{check, Error, dotted + " is 0", "Set it with `sysctl -w " + dotted + "=1`, and in /etc/sysctl.d for the next start: endpoints get no packets otherwise."}
	default:
		return Finding{check, OK, dotted + " is " + value, ""}
	}
}

// conntrackTable looks at whether connection tracking can be read, which the
// deletion of stale UDP flows needs, and whether it has room.
func conntrackTable() Finding {
	const check = "connection tracking"
	if err := askConntrack(); err != nil {
		return Finding{check, Warning, "read the table: " + err.Error(), "Load the module nf_conntrack_netlink and run weft with CAP_NET_ADMIN: stale UDP flows are not deleted otherwise."}
	}
	entries, err := number("net/netfilter/nf_conntrack_count")
	size, sizeErr := number("net/netfilter/nf_conntrack_max")
	if err := errors.Join(err, sizeErr); err != nil {
		return Finding{check, Warning, err.Error(), "Look yourself whether the table of connections has room."}
	}
	return room(check, entries, size)
}

// askConntrack asks for an entry that cannot be there, which the kernel should
// have an answer to.
func askConntrack() error {
	conn, err := conntrack.Dial(nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	nobody := netip.AddrFrom4([4]byte{192, 0, 2, 1})
	_, err = conn.Get(conntrack.NewFlow(unix.IPPROTO_UDP, 0, nobody, nobody, 1, 1, 1, 0))
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// number reads a count from /proc/sys.
func number(name string) (int, error) {
	text, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// room warns of a table that is nearly full. A size of 0 has no limit.
func room(check string, entries, size int) Finding {
	found := fmt.Sprintf("%d of %d entries in use", entries, size)
	if size > 0 && entries > size/10*9 {
		return Finding{check, Warning, found, "Raise net.netfilter.nf_conntrack_max: a full table drops new connections."}
	}
	return Finding{check, OK, found, ""}
}

// proxies tells who else serves NodePorts: kube-proxy, which is what weft falls
// back to, and Cilium, whose replacement of it takes NodePort packets before
// netfilter sees them.
func proxies(chains []nfnl.Chain) []Finding {
	mode := proxyMode(chains)
	proxy := Finding{"kube-proxy", OK, mode, ""}
	if mode == "" {
		proxy.Found = "none found: nobody serves a NodePort that weft does not hold"
	}
	if !hasInterface("cilium_host") {
		return []Finding{proxy}
	}
	cilium := Finding{"Cilium", OK, "present, beside kube-proxy", ""}
	if mode == "" {
		cilium = Finding{
			"Cilium", Warning, "present, and no kube-proxy: it seems to replace it (kubeProxyReplacement)",
			"Do not count on weft here: Cilium takes NodePort packets before nftables sees them.",
		}
	}
	return []Finding{proxy, cilium}
}

// proxyMode is kube-proxy's mode, empty if it is not there.
func proxyMode(chains []nfnl.Chain) string {
	for _, c := range chains {
		if c.Table == "kube-proxy" && (c.Family == nfnl.IPv4 || c.Family == nfnl.IPv6) {
			return "mode nftables"
		}
	}
	// IPVS mode uses chains of iptables too, so it is looked for first.
	if hasInterface("kube-ipvs0") {
		return "mode ipvs"
	}
	for _, c := range chains {
		if c.Table == "nat" && c.Name == "KUBE-SERVICES" {
			return "mode iptables"
		}
	}
	return ""
}

func hasInterface(name string) bool {
	_, err := net.InterfaceByName(name)
	return err == nil
}

// legacyTables are the tables of iptables-legacy that are loaded; the file is
// not there on a kernel without it. thread-self, because /proc/net is about the
// process's first thread.
func legacyTables() []string {
	var names []string
	for _, file := range []string{"ip_tables_names", "ip6_tables_names"} {
		text, err := os.ReadFile("/proc/thread-self/net/" + file)
		if err == nil {
			names = append(names, strings.Fields(string(text))...)
		}
	}
	return names
}
