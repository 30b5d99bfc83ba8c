package preflight

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"weft/render/verify/nfnl"
)

// patience limits the wait for an answer that the kernel gives at once.
const patience = 10 * time.Second

// readChains lists the chains of all tables, without their rules. It asks the
// kernel and not nft, which would read every set before it lists a chain.
func readChains(ctx context.Context) ([]nfnl.Chain, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{MessageBufferSize: 64 << 10})
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		_ = conn.SetDeadline(time.Unix(1, 0)) // fails only where it is closed already
	})()
	messages, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETCHAIN, Flags: netlink.Request | netlink.Dump},
		Data:   []byte{unix.NFPROTO_UNSPEC, unix.NFNETLINK_V0, 0, 0},
	})
	if err != nil {
		return nil, fmt.Errorf("list chains: %w", err)
	}
	chains := make([]nfnl.Chain, 0, len(messages))
	for _, m := range messages {
		c, err := nfnl.DecodeChain(m.Data)
		if err != nil {
			return nil, fmt.Errorf("list chains: %w", err)
		}
		chains = append(chains, c)
	}
	return chains, nil
}

// Numbers of hooks (NF_INET_*).
const (
	hookPrerouting = 0
	hookForward    = 2
	hookOutput     = 3
)

// forwardPolicy finds chains that drop what they do not accept. A packet has to
// pass every table's chains, so nothing in weft's table can overrule them.
func forwardPolicy(chains []nfnl.Chain, opts Options) []Finding {
	const check = "forwarding policy"
	var findings []Finding
	for _, c := range chains {
		if isInet(c.Family) && c.Hook != nil && c.Hook.Number == hookForward && c.Policy == nfnl.VerdictDrop && c.Table != opts.Table {
			findings = append(findings, Finding{
				check, Warning, "policy drop in " + chainName(c),
				"Make sure that this chain accepts packets to and from the endpoints, such as by the addresses of the pods: weft cannot overrule it.",
			})
		}
	}
	if legacy := legacyTables(); slices.Contains(legacy, "filter") {
		findings = append(findings, Finding{
			check, Warning, "rules of iptables-legacy, which nft does not show",
			"Look at `iptables-legacy -S FORWARD`: a policy of DROP there needs a rule that accepts packets to and from the endpoints.",
		})
	}
	if findings == nil {
		return []Finding{{check, OK, "no chain drops forwarded packets by policy", ""}}
	}
	return findings
}

// natChains finds chains that translate before weft does. The first chain that
// translates a connection decides, and those after it do not see it.
func natChains(chains []nfnl.Chain, opts Options) []Finding {
	const check = "nat priority"
	var findings []Finding
	for _, c := range chains {
		if !isInet(c.Family) || c.Type != "nat" || c.Hook == nil || c.Table == opts.Table ||
			c.Hook.Number != hookPrerouting && c.Hook.Number != hookOutput {
			continue
		}
		switch priority := int(c.Hook.Priority); {
		case priority == opts.Priority:
			findings = append(findings, Finding{
				check, Warning, fmt.Sprintf("%s has weft's own priority %d", chainName(c), priority),
				"Set the var priority to a smaller number: of two equal ones, who goes first depends on who was loaded first.",
			})
		case priority < opts.Priority:
			findings = append(findings, Finding{
				check, Warning, fmt.Sprintf("%s goes before weft: its priority %d is less than %d", chainName(c), priority, opts.Priority),
				"Set the var priority to a smaller number, or make sure that this chain leaves NodePorts alone.",
			})
		}
	}
	if findings == nil {
		return []Finding{{check, OK, fmt.Sprintf("nobody else translates at %d or before", opts.Priority), ""}}
	}
	return findings
}

func isInet(f nfnl.Family) bool {
	return f == nfnl.IPv4 || f == nfnl.IPv6 || f == nfnl.INet
}

func chainName(c nfnl.Chain) string {
	return fmt.Sprintf("chain %s of table %s %s", c.Name, c.Family, c.Table)
}
