package verify

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// writer writes rulesets of everything that decides where a packet goes.
type writer struct {
	*rand.Rand
	hook   Hook
	chains []string
	next   int
}

func (w *writer) pick(list ...string) string { return list[w.IntN(len(list))] }

func (w *writer) source() string { return fmt.Sprintf("10.9.0.%d", 1+w.IntN(sources)) }

func (w *writer) endpoint() string {
	return fmt.Sprintf("10.42.0.%d", 1+w.IntN(realEndpoints))
}

func (w *writer) address() string { return w.pick("10.34.4.141", w.endpoint(), w.endpoint()) }

func (w *writer) port() string { return w.pick("30000", "80", "81") }

// draw is a numgen with its modulus and the first number.
func (w *writer) draw() (text string, modulus, offset int) {
	modulus, offset = 1+w.IntN(7), w.pickInt(0, 0, 3, 1000)
	text = fmt.Sprintf("numgen %s mod %d", w.pick("random", "random", "random", "inc"), modulus)
	if offset > 0 {
		text += fmt.Sprintf(" offset %d", offset)
	}
	return text, modulus, offset
}

func (w *writer) pickInt(list ...int) int { return list[w.IntN(len(list))] }

// condition is a match of a rule.
func (w *writer) condition() string {
	switch w.IntN(10) {
	case 0:
		return "ip saddr " + w.pick(w.source(), "!= "+w.source(), "10.9.0.2-10.9.0.3", "!= 10.9.0.2-10.9.0.3", "10.9.0.0/31", "> "+w.source(), "<= "+w.source())
	case 1:
		return "ip saddr " + w.pick("", "!= ") + "{ " + w.pick("10.9.0.1, 10.9.0.4", "10.9.0.0/31, 10.9.0.3", "10.9.0.2-10.9.0.3") + " }"
	case 2:
		return "ip saddr & 0.0.0.1 " + w.pick("==", "!=") + " 0.0.0.1"
	case 3:
		return "meta mark " + w.pick("1", "!= 1", "{ 1, 3 }", "!= { 0, 2-3 }", "< 2", ">= 2", "& 1 == 1", "& 2 != 2", "1-2")
	case 4:
		return "ct " + w.pick("state new", "state != new", "state invalid", "state established,related", "state { new, untracked }", "status dnat", "status & dnat == 0", "direction original", "mark 1", "mark != 0")
	case 5:
		return "ct " + w.pick("original", "reply") + " ip " + w.pick("saddr ", "daddr ") + w.pick(w.address(), w.source())
	case 6:
		return "meta l4proto udp ct original proto-dst " + w.pick("", "!= ") + w.port()
	case 7:
		return "ip daddr " + w.pick("", "!= ") + w.address()
	case 8:
		return "udp dport " + w.pick("", "!= ") + w.pick(w.port(), "80-81", "{ 81, 30000 }", "{ 1-80, 30000 }")
	}
	text, modulus, offset := w.draw()
	n := offset + w.IntN(modulus)
	if n == 0 {
		return text + w.pick(" 0", " != 0", " > 0")
	}
	return fmt.Sprintf("%s %s %d", text, w.pick("==", "!=", "<", "<=", ">=", ">"), n)
}

// spot is what a rule may end in.
type spot struct {
	nat, early bool
	depth      int
}

func (w *writer) rule(at spot) string {
	text := ""
	for range w.IntN(3) {
		text += w.condition() + " "
	}
	return text + w.statement(at)
}

func (w *writer) statement(at spot) string {
	n := w.IntN(14)
	switch {
	case n < 3 && at.nat:
		return w.pick("meta l4proto udp dnat to "+w.endpoint()+":"+w.pick("80", "81"), "meta l4proto udp dnat ip to "+w.endpoints(), "dnat to "+w.endpoint())
	case n == 0 && at.early:
		return "notrack"
	case n < 5 && at.depth > 0:
		return w.pick("jump ", "jump ", "goto ") + w.chain(at)
	case n < 7 && at.depth > 0:
		return w.verdicts(at)
	case n < 10:
		return w.pick("meta mark set 1", "meta mark set 2", "meta mark set meta mark | 1", "meta mark set meta mark & 2", "meta mark set meta mark ^ 3", "ct mark set 1", "ct mark set meta mark", "meta mark set ct mark")
	case n == 10:
		return "accept"
	case n == 11 && w.IntN(3) == 0:
		return "drop"
	case n == 12:
		return w.pick("return", "continue")
	}
	return "counter"
}

// endpoints is a map from what is drawn, or from the source, to an endpoint.
func (w *writer) endpoints() string {
	var parts []string
	if w.IntN(3) == 0 {
		for i := range sources {
			if w.IntN(4) > 0 {
				parts = append(parts, fmt.Sprintf("10.9.0.%d : %s . 80", i+1, w.endpoint()))
			}
		}
		parts = append(parts, "10.9.1.0/24 : "+w.endpoint()+" . 81")
		return "ip saddr map { " + strings.Join(parts, ", ") + " }"
	}
	text, modulus, offset := w.draw()
	for _, r := range w.ranges(modulus, offset) {
		parts = append(parts, fmt.Sprintf("%s : %s . %s", r, w.endpoint(), w.pick("80", "81")))
	}
	return text + " map { " + strings.Join(parts, ", ") + " }"
}

// ranges cuts a modulus into ranges, and leaves out some.
func (w *writer) ranges(modulus, offset int) (list []string) {
	for at := 0; at < modulus; {
		end := min(at+w.IntN(3), modulus-1)
		if w.IntN(6) > 0 || end == modulus-1 && list == nil {
			list = append(list, slotsText(at+offset, end+offset))
		}
		at = end + 1
	}
	return list
}

func slotsText(from, to int) string {
	if from == to {
		return strconv.Itoa(from)
	}
	return fmt.Sprintf("%d-%d", from, to)
}

// verdicts is a verdict map.
func (w *writer) verdicts(at spot) string {
	verdict := func() string {
		return w.pick("accept", "return", "continue", "jump "+w.chain(at), "goto "+w.chain(at))
	}
	switch w.IntN(5) {
	case 0:
		return fmt.Sprintf("ip saddr . udp dport vmap { %s . %s : %s, 10.9.0.200 . 80 : drop }", w.source(), w.port(), verdict())
	case 1:
		return fmt.Sprintf("ip saddr . udp dport vmap { 10.9.0.%d-10.9.0.3 . 81-30000 : %s, 10.9.0.4 . 80-30001 : %s }", 1+w.IntN(3), verdict(), verdict())
	case 2:
		return fmt.Sprintf("udp dport vmap { 80-81 : %s, 30000 : %s }", verdict(), verdict())
	case 3:
		return fmt.Sprintf("meta mark vmap { 0 : %s, 1-2 : %s, * : %s }", verdict(), verdict(), verdict())
	}
	text, modulus, offset := w.draw()
	var parts []string
	for _, r := range w.ranges(modulus, offset) {
		parts = append(parts, r+" : "+verdict())
	}
	return text + " vmap { " + strings.Join(parts, ", ") + " }"
}

func (w *writer) chain(at spot) string {
	name := fmt.Sprintf("c%d", w.next)
	w.next++
	at.depth--
	w.chains = append(w.chains, fmt.Sprintf("\tchain %s {\n%s\t}\n", name, w.rules(at)))
	return name
}

func (w *writer) rules(at spot) string {
	text := ""
	for range 1 + w.IntN(4) {
		text += "\t\t" + w.rule(at) + "\n"
	}
	return text
}

// table has base chains of every kind at the hook.
func (w *writer) table() string {
	text, names := "", 0
	base := func(kind string, priority, depth int) {
		at := spot{nat: kind == "nat", early: priority < conntrack, depth: depth}
		names++
		text += fmt.Sprintf("\tchain base%d {\n\t\ttype %s hook %s priority %d;\n%s\t}\n", names, kind, w.hook, priority, w.rules(at))
	}
	for range w.IntN(3) {
		kind := w.pick("filter", "filter", "route")
		if w.hook != Output {
			kind = "filter" // there is no other
		}
		base(kind, w.pickInt(-300, -300, -160, -150, -90, -90, 0), 1)
	}
	base("nat", -150, 2)
	for range w.IntN(2) {
		base("nat", w.pickInt(-160, -150, -140, -50), 1)
	}
	// without any use of conntrack no nat chain is run at all
	text += "\tchain tracked {\n\t\tct state new\n\t}\n"
	return "table ip weft {\n" + strings.Join(w.chains, "") + text + "}\n"
}
