package ruleset

// hooks are the hooks in which each type of base chain may stand
// (net/ipv4/netfilter and net/netfilter/nft_chain_*.c of Linux).
var hooks = map[string]map[string]bool{
	"filter": wordSet("prerouting input forward output postrouting ingress egress"),
	"nat":    wordSet("prerouting input output postrouting"),
	"route":  wordSet("output"),
}

// Bounds for the priority of a nat chain.
const (
	conntrackPriority = -200 // the kernel refuses nat at or before connection tracking
	kubeProxyPriority = -100 // dstnat, where kube-proxy and iptables translate
)

// base judges where the kernel would call a chain whose item stands at an offset.
func (l *linter) base(family string, at int, b *Base) {
	at += b.at
	if !hooks[b.Type][b.Hook] {
		l.add(at, "hook", "`type %s hook %s`: nft knows no such pair; a nat chain stands in prerouting, input, output or postrouting", b.Type, b.Hook)
		return
	}
	id := "priority"
	if b.Type == "nat" {
		id = "nat-priority"
		l.natBase(at, b)
	}
	if _, ok := Priority(family, b.Hook, b.PriorityText); !ok {
		l.add(at, id, "nft refuses the priority %s in the %s hook of family %s: write a number", quote(b.PriorityText), b.Hook, family)
	}
}

func (l *linter) natBase(at int, b *Base) {
	if b.Policy != "accept" && b.Policy != "" {
		l.add(at, "nat-policy", "policy %s in a nat chain ends every connection of this node that no rule translates: expected accept", b.Policy)
	}
	switch {
	case b.Priority <= conntrackPriority:
		l.add(at, "nat-priority", "the kernel refuses nat at priority %d: expected more than %d, where connection tracking is", b.Priority, conntrackPriority)
	case b.Priority == kubeProxyPriority && (b.Hook == "prerouting" || b.Hook == "output"):
		l.add(at, "nat-priority", "priority %d is kube-proxy's: of two equal ones the later loaded goes last, so every reload swaps them; expected less, as -150", b.Priority)
	}
}
