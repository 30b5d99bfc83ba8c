package ruleset

import (
	"cmp"
	"slices"
	"strconv"
)

// draw is a number that numgen, jhash or symhash gives: one of [offset, offset+modulus).
type draw struct {
	modulus, offset uint64
	at              int
	// hash is the text of a hash, which gives a packet the same number each time;
	// empty for numgen, which draws anew.
	hash string
}

// interval is a range of slots, both ends included.
type interval struct {
	from, to uint64
	at       int
}

// parseSlot reads a decimal or hexadecimal number of 32 bits.
func parseSlot(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 0, 32)
	return n, err == nil
}

// modulus refuses a modulus of 0.
func (l *linter) modulus(d draw) {
	if d.modulus == 0 {
		l.add(d.at, "slots", "a modulus of 0 gives no number")
	}
}

// slots checks that a map has exactly one element for each number that d gives.
// A number without an element makes a packet go on as if the rule did not exist.
func (l *linter) slots(d draw, elements []interval, wildcard bool, at int) {
	if d.modulus == 0 {
		return
	}
	slices.SortStableFunc(elements, func(a, b interval) int { return cmp.Compare(a.from, b.from) })
	next, last := d.offset, d.offset+d.modulus-1
	for _, e := range elements {
		switch {
		case e.from > e.to:
			l.add(e.at, "slots", "the range %d-%d is backwards", e.from, e.to)
			continue
		case e.to > last || e.from < d.offset:
			l.add(e.at, "slots", "slot %s is never drawn: mod %d gives %s", rangeText(e.from, e.to), d.modulus, rangeText(d.offset, last))
		case e.from < next:
			l.add(e.at, "slots", "slot %s has an element already", rangeText(e.from, min(e.to, next-1)))
		}
		if e.from > next && next <= last && !wildcard {
			l.add(e.at, "slots", "no element for slot %s", rangeText(next, min(e.from-1, last)))
		}
		next = max(next, e.to+1)
	}
	if next <= last && !wildcard {
		l.add(at, "slots", "no element for slot %s of mod %d", rangeText(next, last), d.modulus)
	}
}

func rangeText(from, to uint64) string {
	if from >= to {
		return strconv.FormatUint(from, 10)
	}
	return strconv.FormatUint(from, 10) + "-" + strconv.FormatUint(to, 10)
}

// comparison is `numgen ... mod MODULUS OPERATOR SLOTS`.
type comparison struct {
	draw
	operator string
	slots    uint64
	at       int
}

// compare refuses comparisons that are always or never true: a share of nothing,
// of everything, or of more (nft refuses the last two).
func (l *linter) compare(c comparison) {
	n := c.slots - min(c.slots, c.offset)
	switch {
	case c.modulus == 0:
	case n == 0 && (c.operator == "<" || c.operator == "lt"):
		l.add(c.at, "slots", "`mod %d %s %d` is never true", c.modulus, c.operator, c.slots)
	case n >= c.modulus:
		l.add(c.at, "slots", "`mod %d %s %d` names a slot that is never drawn: nft refuses it; a rule for all slots needs no condition", c.modulus, c.operator, c.slots)
	}
}

// cascade checks a chain in which each rule takes its part of what the rules
// before it left: LEFT - SLOTS of one rule is LEFT of the next, or a multiple
// of it where the fraction is shortened. Rules that are plainly meant
// otherwise are left alone.
func (l *linter) cascade(rules []ruleFacts) {
	var chain []comparison
	for i := range rules {
		r, c := &rules[i], &rules[i].compared
		if !r.compares || c.hash != "" || !r.ends || c.operator != "<" && c.operator != "lt" || c.slots >= c.modulus || c.offset > 0 {
			l.cascadeSteps(chain)
			chain = nil
			continue
		}
		chain = append(chain, *c)
	}
	if l.cascadeSteps(chain) && len(chain) > 1 {
		last := chain[len(chain)-1]
		l.add(last.at, "slots", "the last rule of a cascade leaves %d of %d slots to nobody: expected one without a condition behind it", last.modulus-last.slots, last.modulus)
	}
}

// hashes checks rules behind one another that compare the same hash: each takes
// what is below its bound and not below the bound before.
func (l *linter) hashes(rules []ruleFacts) {
	var before *comparison
	n := 0
	for i := range rules {
		r, c := &rules[i], &rules[i].compared
		if !r.compares || c.hash == "" || !r.ends || c.operator != "<" && c.operator != "lt" {
			before, n = nil, 0
			continue
		}
		if before != nil && before.hash == c.hash && c.slots <= before.slots {
			l.add(c.at, "slots", "`< %d` behind `< %d` of the same hash is never true: expected a larger bound", c.slots, before.slots)
		}
		if before == nil || before.hash != c.hash {
			n = 0
		}
		before, n = c, n+1
	}
	if n > 1 {
		l.add(before.at, "slots", "the last rule of a cascade leaves %d of %d slots to nobody: expected one without a condition behind it", before.modulus-min(before.modulus, before.slots), before.modulus)
	}
}

// cascadeSteps tells whether the rules are a cascade.
func (l *linter) cascadeSteps(chain []comparison) bool {
	for i := 1; i < len(chain); i++ {
		before, c := chain[i-1], chain[i]
		switch left := before.modulus - before.slots; {
		case left%c.modulus == 0:
		case c.modulus == before.modulus && c.slots > before.slots:
			l.add(c.at, "slots", "`< %d` behind `< %d` of the same modulus: each rule draws anew, so this one does not take the slots between; expected mod %d", c.slots, before.slots, left)
			return false
		case c.modulus < before.modulus:
			l.add(c.at, "slots", "mod %d behind `mod %d < %d`, which leaves %d slots: expected mod %d", c.modulus, before.modulus, before.slots, left, left)
			return false
		default:
			return false
		}
	}
	return true
}
