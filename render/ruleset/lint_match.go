package ruleset

import "net/netip"

var (
	headers     = wordSet("ah arp comp dccp dst esp ether frag geneve gre gretap hbh icmp icmpv6 igmp ip ip6 mh rt rt0 rt2 rt4 sctp srh tcp th udp udplite vlan vxlan")
	transport   = wordSet("dccp sctp tcp udp udplite")
	ports       = wordSet("dport sport proto-dst proto-src")
	comparators = wordSet("== != < <= > >= eq ne neq lt le gt ge")
	bitwise     = wordSet("& | ^ << >> and or xor lshift rshift")
)

// match reads `SELECTOR [OPERATOR] VALUE`, `SELECTOR vmap { }` and the like.
func (r *reader) match() {
	keys := r.selectors()
	if keys == nil {
		return
	}
	for bitwise[r.peek(0).text] {
		r.i++
		r.value(operand{})
	}
	operator := ""
	if t := r.peek(0); comparators[t.text] || t.is("set") {
		operator = r.next().text
	}
	if operator != "!=" && operator != "ne" && operator != "neq" && operator != "set" {
		r.matched = r.matched || looksAtDestination(keys)
	}
	r.values(keys, operator)
}

func looksAtDestination(keys []operand) bool {
	for _, k := range keys {
		if k.daddr {
			return true
		}
	}
	return false
}

// values reads what a key is compared with or looked up in.
func (r *reader) values(keys []operand, operator string) {
	switch t := r.peek(0); t.text {
	case "vmap":
		r.i++
		r.mapping(keys, []operand{{class: verdict}})
	case "map":
		r.i++
		r.mapping(keys, []operand{{}})
	case "{":
		r.list(keys, nil)
	case "@":
		r.setReference(nil)
	default:
		if len(keys) == 1 && keys[0].class == slot {
			r.compare(keys[0].draw, operator)
			return
		}
		r.literals(keys)
	}
}

// compare reads the number behind `numgen ... mod N <`.
func (r *reader) compare(d draw, operator string) {
	t := r.peek(0)
	n, ok := parseSlot(t.text)
	if !ok {
		return
	}
	r.i++
	if r.accept("-") {
		r.i++
		return
	}
	c := comparison{draw: d, operator: operator, slots: n, at: t.at}
	r.l.compare(c)
	if !r.facts.compares {
		r.facts.compared, r.facts.compares = c, true
	}
}

// literals reads values without braces: `a`, `a . b`, `a,b`.
func (r *reader) literals(keys []operand) {
	for i, k := range keys {
		if i > 0 && !r.accept(".") {
			return
		}
		if !r.literalAhead() {
			return
		}
		r.value(k)
		for len(keys) == 1 && r.accept(",") {
			r.value(k)
		}
	}
}

// literalAhead tells whether a value can begin here.
func (r *reader) literalAhead() bool {
	t := r.peek(0)
	return t.kind == word && t.text != "." || t.kind == quoted || t.is("(") || t.is("$") || t.is("!") || t.is("*")
}

// mapping reads the map behind `map` or `vmap`, named or not. The verdicts of a
// named one are reported at its elements.
func (r *reader) mapping(keys, data []operand) {
	switch t := r.peek(0); t.text {
	case "{":
		r.list(keys, data)
	case "@":
		if s := r.setReference(keys); s != nil {
			for _, e := range r.scope.verdicts[s] {
				if e.action == none {
					continue
				}
				r.event(e)
			}
		}
	}
}

// value reads one value: a word, a range, a prefix, brackets.
func (r *reader) value(o operand) {
	t := r.next()
	switch {
	case t.is("("):
		r.i--
		r.balanced("(", ")")
		return
	case t.is("$"):
		r.l.add(t.at, "define", usesVariable)
		r.i++
		return
	case t.is("!"):
		t = r.next()
	}
	r.checkValue(o, t, !r.peek(0).is("-"))
	if r.accept("-") {
		r.checkValue(o, r.next(), false)
	}
	if r.accept("/") {
		r.i++
	}
}

// checkValue judges one word as what it should be.
func (r *reader) checkValue(o operand, t token, alone bool) {
	if t.kind != word && t.kind != quoted {
		return
	}
	switch o.class {
	case address:
		if _, err := netip.ParseAddr(t.text); err != nil {
			r.l.add(t.at, "hostname", "%s where an address belongs: nft would ask DNS or guess; expected an address such as 10.0.0.1 or fd00::1", quote(t.text))
		}
	case port:
		if n, ok := parseSlot(t.text); ok && n == 0 && alone {
			r.l.add(t.at, "port-zero", "port 0: nobody can listen on it; expected 1 to 65535")
		}
	}
}

// selectors reads `SELECTOR [. SELECTOR]...`, nil where there is none.
func (r *reader) selectors() []operand {
	var keys []operand
	for {
		k, ok := r.selector()
		if !ok {
			return keys
		}
		keys = append(keys, k)
		if !r.peek(0).is(".") {
			return keys
		}
		r.i++
	}
}

// selector reads one selector.
func (r *reader) selector() (operand, bool) {
	switch t := r.peek(0); {
	case t.kind != word:
		return operand{}, false
	case t.is("meta"):
		r.l4 = r.l4 || r.peek(1).is("l4proto")
		r.i += 2
		return operand{}, true
	case t.is("ct"):
		return r.conntrack(), true
	case t.is("fib"):
		return r.fib(), true
	case t.is("numgen"), t.is("jhash"), t.is("symhash"):
		return r.draw(), true
	case headers[t.text]:
		return r.header(), true
	case t.is("socket"), t.is("osf"), t.is("ipsec"), t.is("exthdr"):
		r.i += 2
		return operand{}, true
	case metaWords[t.text]:
		r.i++
		return operand{}, true
	}
	return operand{}, false
}

var metaWords = wordSet(`mark iif oif iifname oifname iiftype oiftype iifgroup oifgroup skuid skgid nftrace rtclassid pkttype cpu
	cgroup ibrname obrname ibriport obriport day hour time protocol l4proto nfproto secmark priority length`)

// header reads a field of a packet header.
func (r *reader) header() operand {
	h, field := r.next().text, r.next().text
	if h == "tcp" && field == "option" {
		r.i += 2
		return operand{}
	}
	r.l4 = r.l4 || transport[h] || h == "ip" && field == "protocol" || h == "ip6" && field == "nexthdr"
	switch {
	case h == "arp" && (field == "saddr" || field == "daddr"):
		if r.accept("ip") {
			return operand{class: address}
		}
		r.i++
	case (h == "ip" || h == "ip6") && (field == "saddr" || field == "daddr"):
		return operand{class: address, daddr: field == "daddr"}
	case (transport[h] || h == "th") && ports[field]:
		return operand{class: port}
	}
	return operand{}
}

// conntrack reads `ct [original|reply] [ip|ip6] KEY`.
func (r *reader) conntrack() operand {
	r.i++
	original := r.peek(0).is("original")
	if original || r.peek(0).is("reply") {
		r.i++
	}
	if r.peek(0).is("ip") || r.peek(0).is("ip6") {
		r.i++
	}
	switch key := r.next().text; {
	case key == "saddr" || key == "daddr":
		return operand{class: address, daddr: original && key == "daddr"}
	case ports[key]:
		return operand{class: port}
	}
	return operand{}
}

// fib reads `fib daddr [. iif]... type`.
func (r *reader) fib() operand {
	r.i++
	o := operand{daddr: r.next().is("daddr")}
	for r.accept(".") {
		r.i++
	}
	o.daddr = o.daddr && r.next().is("type")
	return o
}

// draw reads `numgen random mod N [offset M]`, `jhash EXPR mod N [seed S]
// [offset M]` and `symhash mod N [offset M]`.
func (r *reader) draw() operand {
	begin := r.i
	for !r.done() && !r.peek(0).is("mod") && !r.peek(0).is("{") {
		r.i++
	}
	if !r.accept("mod") {
		return operand{}
	}
	t := r.next()
	n, ok := parseSlot(t.text)
	if !ok {
		return operand{}
	}
	d := draw{modulus: n, at: t.at}
	for r.peek(0).is("seed") || r.peek(0).is("offset") {
		option := r.next()
		if n, ok := parseSlot(r.next().text); ok && option.is("offset") {
			d.offset = n
		}
	}
	if words := r.tokens[begin:min(r.i, len(r.tokens))]; !words[0].is("numgen") {
		for _, t := range words {
			d.hash += t.text + " "
		}
	}
	r.l.modulus(d)
	return operand{class: slot, draw: d}
}
