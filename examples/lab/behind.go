package lab

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// behindTable is the table that stands in for kube-proxy's.
const behindTable = "behind"

// Behind loads what stands behind weft in a cluster, in the place of
// kube-proxy: at priority -100, TCP and UDP to each address at this port are
// spread over the backends in equal shares and marked, and what is marked is
// masqueraded at 100. Backends of a family that no address has are left out.
func Behind(ns *Namespace, addrs []netip.Addr, port uint16, backends []netip.AddrPort) error {
	var text strings.Builder
	for _, family := range []string{"ip", "ip6"} {
		other := func(a netip.Addr) bool { return a.Is4() != (family == "ip") }
		to := slices.DeleteFunc(slices.Clone(addrs), other)
		choices := slices.DeleteFunc(slices.Clone(backends), func(b netip.AddrPort) bool { return other(b.Addr()) })
		if len(to) > 0 && len(choices) > 0 {
			text.WriteString(behindText(family, to, port, choices))
		}
	}
	if err := ns.Load(text.String()); err != nil {
		return fmt.Errorf("load the stand-in for kube-proxy: %w", err)
	}
	return nil
}

func behindText(family string, addrs []netip.Addr, port uint16, backends []netip.AddrPort) string {
	var slots []string
	for i, b := range backends {
		slots = append(slots, fmt.Sprintf("%d : %v . %d", i, b.Addr(), b.Port()))
	}
	var to []string
	for _, a := range addrs {
		to = append(to, a.String())
	}
	dispatch := fmt.Sprintf("%s daddr { %s } meta l4proto . th dport { tcp . %d, udp . %d } goto service",
		family, strings.Join(to, ", "), port, port)
	dnat := fmt.Sprintf("dnat %s to numgen random mod %d map { %s }", family, len(backends), strings.Join(slots, ", "))
	return fmt.Sprintf(`table %s %s {
	counter taken { }
	chain service {
		counter name taken meta mark set meta mark | 0x4000
		meta l4proto { tcp, udp } %s
	}
	chain prerouting {
		type nat hook prerouting priority -100; policy accept;
		%s
	}
	chain output {
		type nat hook output priority -100; policy accept;
		%s
	}
	chain postrouting {
		type nat hook postrouting priority 100; policy accept;
		meta mark & 0x4000 != 0 masquerade fully-random
	}
}
`, family, behindTable, dnat, dispatch, dispatch)
}

// Taken is how many connections over IPv4 fell through to what [Behind] loaded.
func Taken(ns *Namespace) (uint64, error) {
	out, err := ns.Run("nft", "-j", "list", "counter", "ip", behindTable, "taken")
	if err != nil {
		return 0, err
	}
	var listing struct {
		NFTables []struct {
			Counter *struct{ Packets uint64 }
		}
	}
	if err := json.Unmarshal(out, &listing); err != nil {
		return 0, fmt.Errorf("read the counter of table %s: %w", behindTable, err)
	}
	for _, object := range listing.NFTables {
		if object.Counter != nil {
			return object.Counter.Packets, nil
		}
	}
	return 0, fmt.Errorf("nft lists no counter in table %s", behindTable)
}
