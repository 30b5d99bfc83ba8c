package ruleset

// ruleWords are the words that a rule may begin with: headers and other
// selectors, and statements.
var ruleWords = wordSet(`accept add ah arp cgroup comp continue counter cpu ct day dccp delete dnat drop dst dup ecn
	esp ether exthdr fib flow frag fwd geneve goto gre gretap hbh hour ibriport ibrname icmp icmpv6 igmp iif iifgroup
	iifname iiftype ip ip6 ipsec jhash jump l4proto last limit log map mark masquerade meta meter mh nfproto nftrace
	notrack numgen obriport obrname oif oifgroup oifname oiftype osf pkttype protocol queue quota redirect reject return
	rt rt0 rt2 rt4 rtclassid sctp secmark set skgid skuid snat socket srh symhash synproxy tcp th time tproxy udp
	udplite update vlan vxlan xt ibrpvid ibrvproto sdif sdifname random length priority`)

func beginsRule(w string) bool { return ruleWords[w] }
