package ruleset

import "strings"

// maxName is the longest name that the kernel takes, in bytes
// (NFT_NAME_MAXLEN - 1 of include/uapi/linux/netfilter/nf_tables.h).
const maxName = 255

// maxComment is the longest comment that nft takes, in bytes
// (NFTNL_UDATA_COMMENT_MAXLEN of libnftnl, its closing zero counted apart).
const maxComment = 128

// keywords are the words that nft 1.0.6 takes for its own where a name should
// stand. Found by trying each keyword of src/scanner.l as the name of a chain.
var keywords = wordSet(`accept add ah all and arp auto-merge bridge cgroup chain comment comp constant continue
	counter cpu create ct day dccp define delete device devices dnat drop dst dup dynamic ecn element elements eq
	esp ether exists expires export exthdr fib flags flow flowtable flush frag fwd gc-interval ge get goto gt handle
	hbh hook hour ibriport ibrname icmp icmpv6 igmp iif iifgroup iifname iiftype import include index inet insert
	interval ip ip6 ipsec jhash jump le limit list log lshift lt map mark masquerade meta meter mh missing monitor
	netdev nftrace not notrack numgen obriport obrname offload oif oifgroup oifname oiftype or osf pkttype policy
	position priority queue quota random redefine redirect reject rename replace reset return rshift rt rt0 rt2
	rtclassid rule ruleset sctp secmark set size skgid skuid snat socket srh symhash synproxy table tcp th time
	timeout tproxy type typeof udp udplite undefine update vlan vmap xor xt`)

func wordSet(s string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(s) {
		set[w] = true
	}
	return set
}

// nameProblem says why nft refuses a name, or nothing.
func nameProblem(name string) string {
	switch {
	case strings.HasPrefix(name, `"`):
		return "stands in quotes: nft takes bare names alone"
	case len(name) > maxName:
		return "is longer than 255 bytes"
	case keywords[name]:
		return "is a keyword of nft"
	case strings.Contains(name, "::"):
		return "holds '::', which nft takes for an IPv6 address"
	case classes[name[0]] != classLetter:
		return "begins with neither a letter nor '_' nor '.'"
	}
	for i := range len(name) {
		if c := classes[name[i]]; c < classLetter || c > classInner {
			return "holds " + quoteByte(name[i]) + ": letters, digits, '/', '-', '_' and '.' are what nft takes"
		}
	}
	return ""
}
