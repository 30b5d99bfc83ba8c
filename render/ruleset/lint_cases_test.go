package ruleset

import "strings"

// lintCase is a text, what lint must say of it, and what nft does with it.
type lintCase struct {
	name  string
	text  string
	rules []string // the ids of the findings; none means clean. "syntax" is an error of Parse
	nft   bool     // whether nft 1.0.6 accepts the text
}

func inTable(lines string) string { return "table ip weft {\n" + lines + "\n}\n" }

func inChain(rules string) string { return inTable("chain c {\n" + rules + "\n}") }

func inNat(rules string) string {
	return inTable("chain p {\ntype nat hook prerouting priority -150; policy accept;\n" + rules + "\n}")
}

func elements(head, list string) string {
	return inTable("map m {\n" + head + "\nelements = { " + list + " }\n}\nchain a {\n}\nchain b {\n}")
}

func nodePort(rule string) string {
	return inNat("ip daddr 10.34.4.141 meta l4proto tcp " + rule)
}

const (
	accepted = true
	refused  = false
)

func ids(s string) []string { return strings.Fields(s) }

var lintCases = []lintCase{
	// Top level.
	{"own table", inTable(""), nil, accepted},
	{"own table ip6", "table ip6 weft {\n}\n", nil, accepted},
	{"family by default", "table weft {\n}\n", nil, accepted},
	{"two blocks of a table", inTable("chain a {\njump b\n}") + inTable("chain b {\n}"), ids("undefined"), refused}, // nft takes blocks in order
	{"two blocks in order", inTable("chain b {\n}") + inTable("chain a {\njump b\n}"), nil, accepted},
	{"foreign table", "table ip filter {\n}\n", ids("foreign-table"), accepted},
	{"foreign family", "table netdev weft {\n}\n", ids("foreign-table"), accepted},
	{"flush ruleset", "flush ruleset\n" + inTable(""), ids("command"), accepted},
	{"add table", "add table ip weft\n", ids("command"), accepted},
	{"delete table", inTable("") + "delete table ip weft\n", ids("command"), accepted},
	{"add rule", inTable("chain a {\n}") + "add rule ip weft a accept\n", ids("command"), accepted},
	{"include", "include \"/dev/null\"\n", ids("include"), accepted},
	{"define", "define x = 1\n" + inTable(""), ids("define"), accepted},
	{"define in a table", inTable("define x = 1"), ids("define"), accepted},
	{"variable in a rule", "define x = 80\n" + inChain("tcp dport $x accept"), ids("define define"), accepted},
	{"variable as elements", "define x = { 80 }\n" + inTable("set s {\ntype inet_service\nelements = $x\n}"), ids("define define"), accepted},
	{"variable in a list", "define x = 80\n" + inChain("tcp dport { $x, 81 } accept"), ids("define define"), accepted},
	{"dollar in a comment", inChain(`accept comment "$x"`), nil, accepted},
	{"shell in a table", inTable("nft add rule ip weft c 'dnat to 1.2.3.4'"), ids("unknown-line"), refused},
	{"shell in a chain", inChain("nft add rule ip weft c 'accept'"), ids("unknown-line"), refused},
	{"shell at top level", "echo hello\n", ids("unknown-line"), refused},
	{"destroy", "destroy table ip weft\n", ids("command"), refused},
	{"command in a comment", inChain("accept # flush ruleset ; }"), nil, accepted},

	// Names and references.
	{"duplicate chain", inTable("chain a {\n}\nchain a {\n}"), ids("duplicate"), accepted},
	{"blocks of one chain", inTable("chain a {\nth dport 1 accept\nth dport 1 drop\n}\nchain b {\n}\nchain a {\ntcp dport 2 accept\n}"), nil, accepted},
	{"a block without a port", inTable("chain a {\nth dport 1 accept\n}\nchain a {\naccept\n}"), ids("duplicate"), accepted},
	{"two blocks of a base chain", inTable("chain a {\ntype filter hook input priority 0;\ntcp dport 1 accept\n}\nchain a {\ntcp dport 2 accept\n}"), ids("duplicate"), accepted},
	{"duplicate set and map", inTable("set a {\ntype inet_service\n}\nmap a {\ntype inet_service : verdict\n}"), ids("duplicate"), refused},
	{"chain and set of one name", inTable("chain a {\n}\nset a {\ntype inet_service\n}"), nil, accepted},
	{"undefined jump", inChain("jump nowhere"), ids("undefined"), refused},
	{"undefined set", inChain("tcp dport @nowhere accept"), ids("undefined"), refused},
	{"undefined in a verdict map", elements("type inet_service : verdict", "80 : goto nowhere"), ids("undefined"), refused},
	{"undefined in an inline map", inChain("tcp dport vmap { 80 : goto nowhere }"), ids("undefined"), refused},
	{"defined later", inTable("chain a {\njump b\n}\nchain b {\n}"), nil, accepted},
	{"raw payload is no set", inChain("@th,0,16 80 accept"), nil, accepted},
	{"dynamic set", inTable("set s {\ntype ipv4_addr\nflags dynamic,timeout\n}\nchain a {\nadd @s { ip saddr timeout 5s }\n}"), nil, accepted},
	{"keyword as name", inTable("chain drop {\n}"), ids("name"), refused},
	{"keyword inside a name", inTable("chain drop-it {\n}"), nil, accepted},
	{"digit first", inTable("chain 1a {\n}"), ids("name"), refused},
	{"minus first", inTable("chain -a {\n}"), ids("name"), refused},
	{"two colons", inTable("chain a/fd00::1 {\n}"), ids("name"), refused},
	{"quoted name", inTable("chain \"a\" {\n}"), ids("name"), refused},
	{"256 bytes", inTable("chain " + strings.Repeat("a", 256) + " {\n}"), ids("name"), refused},
	{"255 bytes", inTable("chain " + strings.Repeat("a", 255) + " {\n}"), nil, accepted},
	{"every byte of a name", inTable("chain svc-P6J7/a.b_c/tcp/ {\n}\nchain d {\njump svc-P6J7/a.b_c/tcp/\n}"), nil, accepted},

	// Comments and residue.
	{"comment of 129", inChain(`accept comment "` + strings.Repeat("c", 129) + `"`), ids("comment"), refused},
	{"comment of 128", inChain(`accept comment "` + strings.Repeat("c", 128) + `"`), nil, accepted},
	{"element comment of 129", elements("type inet_service : verdict", `80 comment "`+strings.Repeat("c", 129)+`" : accept`), ids("comment"), refused},
	{"statement behind a comment", inChain(`tcp dport 80 comment "x" accept`), ids("comment"), refused},
	{"chain comment, then rules", inChain("comment \"x\"\naccept"), nil, accepted},
	{"line end in a comment", inChain("accept comment \"a\nb\""), ids("syntax"), accepted},
	{"syntax in a comment", inChain(`accept comment "; } # drop { "`), nil, accepted},
	{"no value", inChain(`accept comment "<no value>"`), ids("template-residue"), accepted},
	{"nil", inChain(`accept comment "<nil>"`), ids("template-residue"), accepted},
	{"percent", inChain(`accept comment "%!d(string=x)"`), ids("template-residue"), accepted},
	{"plain percent", inChain(`accept comment "50% <none>"`), nil, accepted},

	// Hostnames.
	{"hostname", inChain("ip daddr localhost accept"), ids("hostname"), accepted},
	{"hostname in a list", inChain("ip saddr { 10.0.0.1, localhost } accept"), ids("hostname"), accepted},
	{"hostname in a range", inChain("ip saddr 10.0.0.1-localhost accept"), ids("hostname"), accepted},
	{"hostname in a concatenation", inChain("ip saddr . tcp dport { localhost . http } accept"), ids("hostname"), accepted},
	{"hostname in a set", inTable("set s {\ntype ipv4_addr\nelements = { localhost }\n}"), ids("hostname"), accepted},
	{"hostname in a typeof set", inTable("set s {\ntypeof ip daddr . tcp dport\nelements = { localhost . 80 }\n}"), ids("hostname"), accepted},
	{"hostname behind ct", inChain("ct original ip daddr localhost accept"), ids("hostname"), accepted},
	{"hostname in dnat", nodePort("dnat to localhost"), ids("hostname"), accepted},
	{"hostname in a dnat map", nodePort("dnat to numgen random mod 1 map { 0 : localhost }"), ids("hostname"), accepted},
	{"octal address", inChain("ip daddr 010.1.1.1 accept"), ids("hostname"), accepted},
	{"number as address", inTable("set s {\ntype ipv4_addr\nelements = { 10 }\n}"), ids("hostname"), accepted},
	{"addresses", inChain("ip daddr 10.0.0.1 accept\nip daddr 10.0.0.0/8 ip saddr 10.0.0.1-10.0.0.5 accept\nip daddr != { 10.0.0.1, 10.1.0.0/16 } accept"), nil, accepted},
	{"addresses of both families", "table inet weft {\nchain c {\nip6 daddr fe80::1 accept\nip6 saddr fd00::/8 accept\nip6 daddr { ::1, fd42:1::10 } accept\nip daddr 1.2.3.4 accept\n}\n}\n", nil, accepted},
	{"constants that are no addresses", inChain("fib daddr type local accept\nct state new,established accept\ntcp dport http accept\nmeta l4proto { tcp, udp } accept\nct status dnat accept\niifname \"lo\" accept\nicmp type echo-request accept\ntcp dport { ssh, http } accept"), nil, accepted},

	// Base chains of nat.
	{"policy drop", inTable("chain p {\ntype nat hook prerouting priority -150; policy drop;\n}"), ids("nat-policy"), accepted},
	{"policy drop in a filter", inTable("chain p {\ntype filter hook forward priority 0; policy drop;\n}"), nil, accepted},
	{"drop in nat", inNat("ip daddr 10.0.0.1 drop"), ids("nat-drop"), accepted},
	{"drop behind a jump", inTable("chain a {\ndrop\n}\nchain p {\ntype nat hook output priority -150; policy accept;\njump a\n}"), ids("nat-drop"), accepted},
	{"drop in a verdict map of nat", inTable("map m {\ntype inet_service : verdict\nelements = { 80 : drop }\n}\nchain p {\ntype nat hook output priority -150; policy accept;\ntcp dport vmap @m\n}"), ids("nat-drop"), accepted},
	{"drop in a filter", inTable("chain p {\ntype filter hook forward priority 0; policy accept;\ntcp dport 80 drop\n}"), nil, accepted},
	{"drop that nobody calls", inChain("drop"), nil, accepted},
	{"kube-proxy's priority", inTable("chain p {\ntype nat hook prerouting priority -100; policy accept;\n}"), ids("nat-priority"), accepted},
	{"kube-proxy's priority by name", inTable("chain p {\ntype nat hook prerouting priority dstnat; policy accept;\n}"), ids("nat-priority"), accepted},
	{"priority beside kube-proxy's", inTable("chain p {\ntype nat hook prerouting priority dstnat - 1; policy accept;\n}"), nil, accepted},
	{"-100 in postrouting", inTable("chain p {\ntype nat hook postrouting priority -100; policy accept;\n}"), nil, accepted},
	{"before conntrack", inTable("chain p {\ntype nat hook prerouting priority -200; policy accept;\n}"), ids("nat-priority"), refused},
	{"just behind conntrack", inTable("chain p {\ntype nat hook prerouting priority -199; policy accept;\n}"), nil, accepted},
	{"raw", inTable("chain p {\ntype nat hook prerouting priority raw; policy accept;\n}"), ids("nat-priority"), refused},
	{"mangle", inTable("chain p {\ntype nat hook prerouting priority mangle; policy accept;\n}"), nil, accepted},
	{"dstnat in output", inTable("chain p {\ntype nat hook output priority dstnat; policy accept;\n}"), ids("nat-priority"), refused},
	{"srcnat in prerouting", inTable("chain p {\ntype nat hook prerouting priority srcnat; policy accept;\n}"), ids("nat-priority"), refused},
	{"dstnat in a filter's output", inTable("chain p {\ntype filter hook output priority dstnat; policy accept;\n}"), ids("priority"), refused},
	{"unknown hook", inTable("chain p {\ntype nat hook preroute priority -150; policy accept;\n}"), ids("hook"), refused},
	{"nat in forward", inTable("chain p {\ntype nat hook forward priority -150; policy accept;\n}"), ids("hook"), refused},

	// dnat.
	{"dnat of everything", inNat("tcp dport 30000 dnat to 10.42.4.206:8080"), ids("dnat-unmatched"), accepted},
	{"dnat of all but one", inNat("ip daddr != 10.0.0.1 tcp dport 30000 dnat to 10.42.4.206:8080"), ids("dnat-unmatched"), accepted},
	{"dnat behind a jump", inTable("chain a {\ntcp dport 80 dnat to 10.0.0.1:80\n}\nchain p {\ntype nat hook prerouting priority -150; policy accept;\njump a\n}"), ids("dnat-unmatched"), accepted},
	{"dnat behind a jump that matched", inTable("chain a {\ntcp dport 80 dnat to 10.0.0.1:80\n}\nchain p {\ntype nat hook prerouting priority -150; policy accept;\nip daddr 10.0.0.5 jump a\n}"), nil, accepted},
	{"redirect of everything", inNat("tcp dport 80 redirect to :8080"), ids("dnat-unmatched"), accepted},
	{"dnat by a set", inTable("set s {\ntype ipv4_addr\n}\nchain p {\ntype nat hook prerouting priority -150; policy accept;\nip daddr @s tcp dport 80 dnat to 10.0.0.1:80\n}"), nil, accepted},
	{"dnat of local addresses", inNat("fib daddr type local tcp dport 80 dnat to 10.0.0.1:80"), nil, accepted},
	{"dnat by the key of a map", inTable("map m {\ntype ipv4_addr . inet_service : verdict\nelements = { 10.0.0.1 . 80 : goto a }\n}\nchain a {\nmeta l4proto tcp dnat to 10.0.0.1:80\n}\nchain p {\ntype nat hook prerouting priority -150; policy accept;\nip daddr . tcp dport vmap @m\n}"), nil, accepted},
	{"dnat of a loop", inTable("chain a {\njump b\n}\nchain b {\nmeta l4proto tcp dnat to 10.0.0.1:80\n}\nchain p {\ntype nat hook prerouting priority -150; policy accept;\nip daddr 10.0.0.1 jump a\njump a\n}"), ids("dnat-unmatched"), accepted},
	{"dnat without a protocol", inNat("ip daddr 10.0.0.1 dnat to 10.0.0.2:80"), ids("dnat-protocol"), refused},
	{"dnat map without a protocol", inNat("ip daddr 10.0.0.1 dnat ip to numgen random mod 1 map { 0 : 10.0.0.2 . 80 }"), ids("dnat-protocol"), refused},
	{"dnat without a port", inNat("ip daddr 10.0.0.1 dnat to 10.0.0.2"), nil, accepted},
	{"dnat to port 0", nodePort("dnat to 10.0.0.2:0"), ids("port-zero"), accepted},
	{"dnat map to port 0", nodePort("dnat ip to numgen random mod 1 map { 0 : 10.0.0.2 . 0 }"), ids("port-zero"), accepted},
	{"key of port 0", elements("type inet_proto . inet_service : verdict", "tcp . 0 : goto a"), ids("port-zero"), accepted},
	{"range of ports from 0", inChain("tcp dport 0-1023 accept"), nil, accepted},
	{"v6", "table ip6 weft {\nchain c {\nmeta l4proto tcp dnat to [fd42:1::10]:8080\nmeta l4proto tcp dnat ip6 to numgen random mod 2 map { 0 : fd42:1::10 . 8080, 1 : fd42:1::11 . 8080 }\n}\n}\n", nil, accepted},

	// Slots.
	{"whole map", nodePort("dnat ip to numgen random mod 100 map { 0-49 : 10.0.0.1 . 80, 50-99 : 10.0.0.2 . 80 }"), nil, accepted},
	{"hole", nodePort("dnat ip to numgen random mod 100 map { 0-48 : 10.0.0.1 . 80, 50-99 : 10.0.0.2 . 80 }"), ids("slots"), accepted},
	{"last index missing", nodePort("dnat ip to numgen random mod 100 map { 0-49 : 10.0.0.1 . 80, 50-98 : 10.0.0.2 . 80 }"), ids("slots"), accepted},
	{"last index as modulus", nodePort("dnat ip to numgen random mod 99 map { 0-49 : 10.0.0.1 . 80, 50-99 : 10.0.0.2 . 80 }"), ids("slots"), accepted},
	{"beyond", nodePort("dnat ip to numgen random mod 100 map { 0-99 : 10.0.0.1 . 80, 100-199 : 10.0.0.2 . 80 }"), ids("slots"), accepted},
	{"overlap", nodePort("dnat ip to numgen random mod 100 map { 0-50 : 10.0.0.1 . 80, 50-99 : 10.0.0.2 . 80 }"), ids("slots"), refused},
	{"backwards", nodePort("dnat ip to numgen random mod 6 map { 5-4 : 10.0.0.1 . 80, 0-5 : 10.0.0.2 . 80 }"), ids("slots"), refused},
	{"mod 0", nodePort("dnat ip to numgen random mod 0 map { 0 : 10.0.0.1 . 80 }"), ids("slots"), refused},
	{"offset", nodePort("dnat ip to numgen random mod 2 offset 10 map { 10 : 10.0.0.1 . 80, 11 : 10.0.0.2 . 80 }"), nil, accepted},
	{"hash", nodePort("dnat ip to jhash ip saddr mod 100 seed 0xdeadbeef map { 0-48 : 10.0.0.1 . 80, 50-99 : 10.0.0.2 . 80 }"), ids("slots"), accepted},
	{"vmap", inTable("chain a {\n}\nchain c {\nnumgen random mod 2 vmap { 0 : goto a }\n}"), ids("slots"), accepted},
	{"vmap with a wildcard", inTable("chain a {\n}\nchain c {\nnumgen random mod 10 vmap { 0-4 : goto a, * : goto a }\n}"), nil, accepted},
	{"named map", inTable("map w {\ntypeof numgen random mod 10 : ip daddr . tcp dport\nflags interval\nelements = { 0-4 : 10.0.0.1 . 80, 5-8 : 10.0.0.2 . 80 }\n}\nchain c {\nmeta l4proto tcp dnat ip to numgen random mod 10 map @w\n}"), ids("slots"), accepted},
	{"whole named map", inTable("map w {\ntypeof numgen random mod 10 : ip daddr . tcp dport\nflags interval\nelements = { 0-4 : 10.0.0.1 . 80, 5-9 : 10.0.0.2 . 80 }\n}\nchain c {\nmeta l4proto tcp dnat ip to numgen random mod 10 map @w\n}"), nil, accepted},
	{"dnat as a verdict", inChain("numgen random mod 2 vmap { 0 : dnat to 10.0.0.1:80, 1 : accept }"), ids("verdict"), refused},
	{"set of slots", inChain("numgen random mod 100 { 0-49 } accept"), nil, accepted},
	{"set of slots beyond", inChain("numgen random mod 100 { 0-100 } accept"), ids("slots"), refused},
	{"cascade", inChain("numgen random mod 100 < 50 meta l4proto tcp dnat to 10.0.0.1:80\nnumgen random mod 50 < 25 meta l4proto tcp dnat to 10.0.0.2:80\nmeta l4proto tcp dnat to 10.0.0.3:80"), nil, accepted},
	{"shortened cascade", inChain("numgen random mod 6 < 2 meta l4proto tcp dnat to 10.0.0.1:80\nnumgen random mod 2 < 1 meta l4proto tcp dnat to 10.0.0.2:80\nmeta l4proto tcp dnat to 10.0.0.3:80"), nil, accepted},
	{"cascade of one draw", inChain("numgen random mod 100 < 50 meta l4proto tcp dnat to 10.0.0.1:80\nnumgen random mod 100 < 75 meta l4proto tcp dnat to 10.0.0.2:80\nmeta l4proto tcp dnat to 10.0.0.3:80"), ids("slots"), accepted},
	{"cascade with a wrong rest", inChain("numgen random mod 100 < 50 meta l4proto tcp dnat to 10.0.0.1:80\nnumgen random mod 60 < 25 meta l4proto tcp dnat to 10.0.0.2:80\nmeta l4proto tcp dnat to 10.0.0.3:80"), ids("slots"), accepted},
	{"cascade without an end", inChain("numgen random mod 100 < 50 meta l4proto tcp dnat to 10.0.0.1:80\nnumgen random mod 50 < 25 meta l4proto tcp dnat to 10.0.0.2:80"), ids("slots"), accepted},
	{"cascade of a hash", inChain("jhash ip saddr mod 100 seed 1 < 50 meta l4proto tcp dnat to 10.0.0.1:80\njhash ip saddr mod 100 seed 1 < 75 meta l4proto tcp dnat to 10.0.0.2:80\nmeta l4proto tcp dnat to 10.0.0.3:80"), nil, accepted},
	{"cascade of a hash, falling", inChain("jhash ip saddr mod 100 seed 1 < 50 meta l4proto tcp dnat to 10.0.0.1:80\njhash ip saddr mod 100 seed 1 < 25 meta l4proto tcp dnat to 10.0.0.2:80\nmeta l4proto tcp dnat to 10.0.0.3:80"), ids("slots"), accepted},
	{"cascade of a hash without an end", inChain("jhash ip saddr mod 100 seed 1 < 50 meta l4proto tcp dnat to 10.0.0.1:80\njhash ip saddr mod 100 seed 1 < 75 meta l4proto tcp dnat to 10.0.0.2:80"), ids("slots"), accepted},
	{"two hashes", inChain("jhash ip saddr mod 100 seed 1 < 50 meta l4proto tcp dnat to 10.0.0.1:80\njhash ip saddr mod 100 seed 2 < 50 meta l4proto tcp dnat to 10.0.0.2:80\nmeta l4proto tcp dnat to 10.0.0.3:80"), nil, accepted},
	{"a part of the packets", inChain("numgen random mod 100 < 10 meta l4proto tcp dnat to 10.0.0.1:80"), nil, accepted},
	{"more slots than there are", inChain("numgen random mod 100 < 101 accept"), ids("slots"), refused},
	{"all slots", inChain("numgen random mod 100 < 100 accept"), ids("slots"), refused},
	{"all slots but one", inChain("numgen random mod 100 < 99 accept"), nil, accepted},
	{"no slots", inChain("numgen random mod 100 < 0 accept"), ids("slots"), accepted},

	// Lists and braces.
	{"no elements", elements("type inet_service : verdict", ""), ids("empty"), refused},
	{"empty list", inChain("tcp dport { } accept"), ids("empty"), refused},
	{"empty map", inChain("tcp dport vmap { }"), ids("empty"), refused},
	{"doubled comma", inChain("tcp dport { 80,, 81 } accept"), ids("empty"), accepted},
	{"leading comma", inChain("tcp dport { , 81 } accept"), ids("empty"), refused},
	{"doubled comma of elements", elements("type inet_service : verdict", "80 : accept,, 81 : accept"), ids("empty"), accepted},
	{"leading comma of elements", elements("type inet_service : verdict", ", 81 : accept"), ids("empty"), refused},
	{"trailing comma", elements("type inet_service : verdict", "80 : accept,\n81 : goto a,\n"), nil, accepted},
	{"trailing comma in a list", inChain("tcp dport { 80, 81, } accept"), nil, accepted},
	{"empty line in elements", elements("type inet_service : verdict", "80 : accept,\n\n81 : accept"), ids("blank-line"), refused},
	{"comment line in elements", elements("type inet_service : verdict", "80 : accept,\n# more\n81 : accept"), nil, accepted},
	{"indented comment line", elements("type inet_service : verdict", "80 : accept,\n\t# more\n\t81 : accept"), nil, accepted},
	{"comment at the end of an element's line", elements("type inet_service : verdict", "80 : accept, # 50%\n81 : accept # }\n"), nil, accepted},
	{"comment line in a list", inChain("tcp dport { 80,\n# more\n81 } accept"), nil, accepted},
	{"empty line in a list", inChain("tcp dport { 80,\n\n81 } accept"), ids("blank-line"), refused},
	{"rule and brace", "table ip weft {\nchain c {\naccept }\n}\n", ids("brace"), refused},
	{"rule and brace with a semicolon", "table ip weft {\nchain c { accept; }\n}\n", nil, accepted},
	{"two blocks on a line", "table ip weft {\nchain c { } chain d { }\n}\n", ids("brace"), refused},
	{"set and brace", inTable("set s { type inet_service }"), ids("brace"), refused},
	{"set on one line", inTable("set s { type inet_service; }"), nil, accepted},
	{"counter on one line", inTable("counter n { packets 1 bytes 2 }"), nil, accepted},
	{"set without a type", inTable("set s {\nflags interval\n}"), ids("type"), refused},

	// Syntax.
	{"table never closed", "table ip weft {\nchain c {\n}\n", ids("syntax"), refused},
	{"brace too many", inTable("") + "}\n", ids("syntax"), refused},
	{"open string", inChain("accept comment \"x"), ids("syntax"), refused},
	{"carriage return", "table ip weft {\r\n}\r\n", ids("syntax"), refused},
	{"single quotes", inChain("iifname 'lo' accept"), ids("syntax"), refused},
	{"comment behind the value", elements("type inet_service : verdict", `80 : accept comment "x"`), ids("syntax"), refused},
	{"two comments", inTable("comment \"a\"\ncomment \"b\""), ids("syntax"), refused},
	{"policy without a hook", inChain("policy accept"), ids("syntax"), refused},
	{"continued line", inChain("tcp dport 80 \\\n accept"), nil, accepted},
	{"no end of line at the end", strings.TrimSpace(inTable("")), nil, accepted},
	{"objects", inTable("counter n {\n}\nquota q {\nover 10 mbytes\n}\nlimit l {\nrate 10/second\n}\nct helper h {\ntype \"ftp\" protocol tcp; l3proto ip\n}\nct timeout t {\nprotocol tcp; l3proto ip; policy = { established : 120 }\n}\nchain c {\ncounter name n\nct helper set \"h\"\n}"), nil, accepted},
	{"set with everything", inTable("set s {\ntypeof ip daddr . tcp dport; timeout 1h; size 65535; gc-interval 10s; flags dynamic,timeout; policy memory; comment \"x\"; counter\n}"), nil, accepted},
	{"element with everything", elements("type inet_proto . inet_service : verdict\nflags timeout\ncounter", `tcp . 80 counter packets 1 bytes 2 timeout 60s expires 20s comment "x: y" : goto a`), nil, accepted},
	{"type line behind a rule", inChain("accept\ntype filter hook input priority 0; policy accept"), nil, accepted},
	{"interface names", inChain("iifname \"a*\" accept\niifname lo* accept\noifname { \"lo\", \"eth0\" } accept"), nil, accepted},
	{"marks", inChain("meta mark & 0x00004000 == 0x00000000 return\nmeta mark set meta mark ^ 0x00004000\ntcp flags & (syn|ack) == syn accept"), nil, accepted},
}
