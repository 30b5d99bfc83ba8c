package ruleset

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// drawn is a random table that nft takes.
type drawn struct {
	family, comment string
	dormant         bool
	blocks          map[string]drawnBlock
	order           []string
}

// drawnBlock is a block of it: its text, what others must know of it, and what
// it needs of others.
type drawnBlock struct {
	text, is string
	uses     map[string]string
	head     string // of a chain
	rules    []string
	later    []string // those of them in a block of their own, behind all others
}

// end gives the block of a chain its text, and now and then parts it in two.
func (b *drawnBlock) end(t *rapid.T) {
	n := len(b.rules)
	if n > 0 && chance(t, 25) {
		n = rapid.IntRange(0, n).Draw(t, "in the first block")
	}
	b.text, b.later = b.head+strings.Join(b.rules[:n], "")+"\t}\n", b.rules[n:]
}

// String is the table as text, nothing for none.
func (d *drawn) String() string {
	if d == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "table %s weft {\n", d.family)
	if d.comment != "" {
		fmt.Fprintf(&b, "\tcomment %q\n", d.comment)
	}
	if d.dormant {
		b.WriteString("\tflags dormant\n")
	}
	for _, name := range d.order {
		b.WriteString(d.blocks[name].text)
	}
	for _, name := range d.order {
		if later := d.blocks[name].later; len(later) > 0 {
			fmt.Fprintf(&b, "\tchain %s {\n%s\t}\n", name, strings.Join(later, ""))
		}
	}
	b.WriteString("}\n")
	return b.String()
}

// drawnNames are all blocks that there can be: none refers to one behind it.
var drawnNames = []string{"o0", "o1", "s0", "s1", "s2", "n1", "r2", "r1", "m0", "m1", "m2", "r0", "n0", "nat0", "b2", "b1", "b0"}

func chance(t *rapid.T, percent int) bool { return rapid.IntRange(0, 99).Draw(t, "chance") < percent }

func oneIn[T any](t *rapid.T, list ...T) T { return rapid.SampledFrom(list).Draw(t, "one") }

// drawTable draws a table. Most of one that is like another is the same.
func drawTable(t *rapid.T, family string, like *drawn) *drawn {
	d := &drawn{family: family, blocks: map[string]drawnBlock{}}
	if like != nil {
		d.comment, d.dormant = like.comment, like.dormant
	}
	if like == nil || chance(t, 5) {
		d.dormant = chance(t, 20)
	}
	if chance(t, 3) {
		d.comment = "odd"
	}
	for _, name := range drawnNames {
		if like != nil && !chance(t, 25) {
			if old, ok := like.blocks[name]; ok && d.has(old.uses) {
				if len(old.rules) > 0 && chance(t, 20) {
					old = d.grow(t, name, old)
				}
				d.blocks[name] = old
			}
		} else if chance(t, 70) {
			d.blocks[name] = d.draw(t, name)
		}
	}
	d.order = slices.Sorted(maps.Keys(d.blocks))
	if chance(t, 30) {
		d.order = rapid.Permutation(d.order).Draw(t, "order")
	}
	return d
}

func (d *drawn) has(uses map[string]string) bool {
	for name, is := range uses {
		if d.blocks[name].is != is {
			return false
		}
	}
	return true
}

// those gives the names of the blocks that are something.
func (d *drawn) those(is string) []string {
	var names []string
	for _, name := range drawnNames {
		if d.blocks[name].is == is {
			names = append(names, name)
		}
	}
	return names
}

func (d *drawn) draw(t *rapid.T, name string) drawnBlock {
	b := drawnBlock{uses: map[string]string{}}
	switch name[0] {
	case 'o':
		d.drawObject(t, name, &b)
	case 's':
		d.drawSet(t, name, &b)
	case 'm':
		d.drawMap(t, name, &b)
	default:
		d.drawChain(t, name, &b)
	}
	return b
}

func (d *drawn) drawObject(t *rapid.T, name string, b *drawnBlock) {
	b.is = oneIn(t, "counter", "counter", "quota", "limit")
	body := map[string][]string{
		"counter": {"", "comment \"x\"", "packets 1 bytes 2"},
		"quota":   {"over 100 mbytes", "over 200 mbytes"},
		"limit":   {"rate 10/second", "rate 20/minute"},
	}
	b.text = fmt.Sprintf("\t%s %s {\n\t\t%s\n\t}\n", b.is, name, oneIn(t, body[b.is]...))
}

// write gives the block of a set its text.
func (b *drawnBlock) write(keyword, name, head string, elements []string) {
	list := ""
	if len(elements) > 0 {
		list = "\t\telements = {\n\t\t\t" + strings.Join(elements, ",\n\t\t\t") + "\n\t\t}\n"
	}
	b.text = fmt.Sprintf("\t%s %s {\n\t\t%s\n%s\t}\n", keyword, name, strings.ReplaceAll(head, "; ", "\n\t\t"), list)
}

// drawnSets are heads with what elements they may have: of those in one string,
// no two together.
var drawnSets = []struct {
	is, head string
	elements []string
}{
	{"address", "type ipv4_addr", []string{"10.0.0.1", "10.0.0.2|10.0.0.2 comment \"x\"|10.0.0.2 comment \"y\"", "10.0.0.3"}},
	{"address", "type ipv4_addr; comment \"x\"", []string{"10.0.0.1", "10.0.0.2"}},
	{"address", "typeof ip saddr", []string{"10.0.0.1", "10.0.0.2"}},
	{"address", "type ipv4_addr; size 100", []string{"10.0.0.1", "10.0.0.2"}},
	{"address", "type ipv4_addr; flags interval", []string{"10.0.0.0/24|10.0.0.0-10.0.0.99|10.0.0.7|10.0.0.0/23", "10.0.2.0/24|10.0.2.0/25", "10.0.3.1", "10.0.4.0-10.0.4.9"}},
	{"address", "type ipv4_addr; flags interval; auto-merge", []string{"10.0.0.0/24|10.0.0.0/23", "10.0.2.0/24", "10.0.3.0/24|10.0.3.5", "10.0.4.0-10.0.4.9"}},
	{"address", "type ipv4_addr; flags timeout", []string{"10.0.0.1 timeout 1h|10.0.0.1 timeout 2h|10.0.0.1", "10.0.0.2 timeout 1h comment \"x\"|10.0.0.2 timeout 1h", "10.0.0.3 timeout 1h"}},
	{"address", "type ipv4_addr; flags timeout; timeout 1h", []string{"10.0.0.1", "10.0.0.2 timeout 2h|10.0.0.2", "10.0.0.3"}},
	{"address", "type ipv4_addr; flags dynamic,timeout; size 100; timeout 1h", []string{"10.0.0.1", "10.0.0.2"}},
	{"address", "type ipv4_addr; counter", []string{"10.0.0.1", "10.0.0.2", "10.0.0.3 comment \"x\""}},
	{"address", "type ipv4_addr; flags interval,timeout", []string{"10.0.0.0/24 timeout 1h|10.0.0.0/25 timeout 1h", "10.0.2.0/24"}},
	{"address . port", "type ipv4_addr . inet_service", []string{"10.0.0.1 . 80", "10.0.0.2 . 80", "10.0.0.2 . 81"}},
	{"address . port", "type ipv4_addr . inet_service; flags interval", []string{"10.0.0.0/24 . 80-90|10.0.0.0/25 . 80", "10.0.2.0/24 . 80", "10.0.3.1 . 81"}},
	{"port", "type inet_service; flags constant", []string{"80", "81", "82"}},
	{"port", "type inet_service", []string{"80", "81", "82", "83 comment \"x\""}},
}

func (d *drawn) drawSet(t *rapid.T, name string, b *drawnBlock) {
	s := rapid.SampledFrom(drawnSets).Draw(t, "set")
	b.is = s.is
	b.write("set", name, s.head, drawElements(t, s.elements))
}

// drawElements draws some of the alternatives in any order.
func drawElements(t *rapid.T, from []string) []string {
	var elements []string
	for _, alternatives := range from {
		if chance(t, 60) {
			elements = append(elements, oneIn(t, strings.Split(alternatives, "|")...))
		}
	}
	if len(elements) < 2 {
		return elements
	}
	return rapid.Permutation(elements).Draw(t, "elements")
}

func (d *drawn) drawMap(t *rapid.T, name string, b *drawnBlock) {
	type shape struct{ is, head string }
	s := oneIn(t, shape{"ports to verdicts", "type inet_service : verdict"}, shape{"ports to verdicts", "type inet_service : verdict; flags interval"},
		shape{"ports to verdicts", "type inet_service : verdict; flags timeout"},
		shape{"protocols and ports to verdicts", "type inet_proto . inet_service : verdict; comment \"x\""}, shape{"ports to addresses", "type inet_service : ipv4_addr"},
		shape{"ports to counters", "type inet_service : counter"})
	b.is = s.is
	verdicts := []string{"accept", "drop"}
	for _, chain := range d.those("chain") {
		verdicts = append(verdicts, "goto "+chain, "jump "+chain)
	}
	use := func(verdict string) string {
		if _, chain, ok := strings.Cut(verdict, " "); ok {
			b.uses[chain] = "chain"
		}
		return verdict
	}
	keys := []string{"80", "81", "82", "83"}
	if s.is == "protocols and ports to verdicts" {
		keys = []string{"tcp . 80", "tcp . 81 comment \"x\"|tcp . 81", "udp . 80"}
	} else if strings.Contains(s.head, "interval") {
		keys = []string{"80-89|80-99|85", "100", "110-120"}
	} else if strings.Contains(s.head, "timeout") {
		keys = []string{"80 timeout 1h|80", "81 timeout 1h comment \"x\"", "82"}
	}
	counters := d.those("counter")
	if s.is == "ports to counters" && len(counters) == 0 {
		keys = nil
	}
	elements := drawElements(t, keys)
	for i := range elements {
		switch s.is {
		case "ports to addresses":
			elements[i] += " : " + oneIn(t, "10.0.0.1", "10.0.0.2")
		case "ports to counters":
			counter := oneIn(t, counters...)
			b.uses[counter] = "counter"
			elements[i] += fmt.Sprintf(" : %q", counter)
		default:
			elements[i] += " : " + use(oneIn(t, verdicts...))
		}
	}
	b.write("map", name, s.head, elements)
}

func (d *drawn) drawChain(t *rapid.T, name string, b *drawnBlock) {
	head := ""
	if chance(t, 5) {
		head = "\t\tcomment \"x\"\n"
	}
	nat := false
	switch {
	case name == "nat0":
		nat = true
		head += fmt.Sprintf("\t\ttype nat hook prerouting priority %d; policy accept;\n", oneIn(t, -150, -150, -140))
	case name[0] == 'b':
		hook := oneIn(t, "input", "input", "forward")
		head += fmt.Sprintf("\t\ttype filter hook %s priority %d; policy %s;\n", hook, oneIn(t, 0, 0, 5), oneIn(t, "accept", "accept", "drop"))
	case name[0] == 'n':
		b.is, nat = "nat chain", true
	default:
		b.is = "chain"
	}
	b.head = "\tchain " + name + " {\n" + head
	b.rules = d.drawRules(t, name, nat, b)
	b.end(t)
}

func (d *drawn) drawRules(t *rapid.T, chain string, nat bool, b *drawnBlock) []string {
	var rules []string
	for range rapid.IntRange(0, 4).Draw(t, "rules") {
		rules = append(rules, "\t\t"+d.drawRule(t, chain, nat, b)+"\n")
	}
	return rules
}

// grow is a chain with rules before and behind those that it had.
func (d *drawn) grow(t *rapid.T, name string, old drawnBlock) drawnBlock {
	b := drawnBlock{is: old.is, head: old.head, uses: maps.Clone(old.uses)}
	before, behind := d.drawRules(t, name, name[0] == 'n', &b), d.drawRules(t, name, name[0] == 'n', &b)
	b.rules = slices.Concat(before, old.rules, behind)
	b.end(t)
	return b
}

func (d *drawn) drawRule(t *rapid.T, chain string, nat bool, b *drawnBlock) string {
	kinds := []string{"ip saddr 10.0.0.1 accept", "tcp dport { 80, 443 } accept", "counter", "udp dport 53 return comment \"x, }\"", "meta mark set numgen random mod 4 map { 0-1 : 1, 2-3 : 2 }"}
	add := func(is, format string) {
		for _, name := range d.those(is) {
			kinds = append(kinds, strings.ReplaceAll(format, "NAME", name))
		}
	}
	leaf := chain == "r2" || chain == "r1" || chain == "n1"
	if nat {
		kinds = append(kinds, "meta l4proto tcp dnat ip to 10.0.0.1:80", "meta l4proto tcp dnat ip to 10.0.0.2:80",
			"meta l4proto tcp dnat ip to numgen random mod 4 map { 0-1 : 10.0.0.1 . 80, 2-3 : 10.0.0.2 . 80 }",
			"meta l4proto tcp dnat ip to numgen random mod 4 map { 0-2 : 10.0.0.1 . 80, 3 : 10.0.0.2 . 80 }")
		add("nat chain", "tcp dport 80 goto NAME")
	}
	add("chain", "jump NAME")
	add("chain", "tcp dport vmap { 80 : goto NAME, 90-99 : accept }")
	add("address", "ip saddr @NAME accept")
	add("port", "tcp dport @NAME drop")
	add("address . port", "ip saddr . tcp dport @NAME accept")
	add("counter", "counter name \"NAME\"")
	add("quota", "quota name \"NAME\" drop")
	add("limit", "limit name \"NAME\" accept")
	if !leaf {
		add("ports to verdicts", "tcp dport vmap @NAME")
		add("protocols and ports to verdicts", "meta l4proto . th dport vmap @NAME")
	}
	add("ports to counters", "counter name tcp dport map @NAME")
	rule := oneIn(t, kinds...)
	for name, block := range d.blocks {
		if slices.Contains(strings.FieldsFunc(rule, func(r rune) bool { return strings.ContainsRune(" @\",", r) }), name) {
			b.uses[name] = block.is
		}
	}
	return rule
}
