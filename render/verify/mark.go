package verify

// mark stands for something that a walk looked at: a chain, a set, or one key of
// a set. Two that are the same by chance cost a proof too many, never one too few.
type mark uint64

// The parameters of FNV-1a for 64 bits (www.isthe.com/chongo/tech/comp/fnv).
const (
	fnvOffset mark = 0xcbf29ce484222325
	fnvPrime  mark = 0x100000001b3
)

func (m mark) with(b byte) mark { return (m ^ mark(b)) * fnvPrime }

func (m mark) text(s string) mark {
	for i := range len(s) {
		m = m.with(s[i])
	}
	return m
}

func tableMark(kind byte, id TableID) mark {
	return fnvOffset.with(kind).with(byte(id.Family)).text(id.Name).with(0)
}

// The lowest bit says that a mark is a chain's; of others, the next one says that it
// is a counter's.
const chainBit, counterBit mark = 1, 2

func chainMark(t TableID, name string) mark { return tableMark('c', t).text(name) | chainBit }

func (m mark) isChain() bool { return m&chainBit != 0 }

func (m mark) isCounter() bool { return m&(chainBit|counterBit) == counterBit }

// plain is a mark that is neither a chain's nor a counter's.
func (m mark) plain() mark { return m &^ (chainBit | counterBit) }

func setMark(t TableID, name string) mark { return tableMark('s', t).text(name).with(0).plain() }

// counter is the mark of a counting numgen in the chain with the mark m.
func (m mark) counter(rule uint64, expr int) mark {
	m = m.with('n').with(byte(expr))
	for range 8 {
		m, rule = m.with(byte(rule)), rule>>8
	}
	return m.plain() | counterBit
}

// key is the mark of one key of the set with the mark m.
func (m mark) key(k []byte) mark {
	m = m.with('k')
	for _, b := range k {
		m = m.with(b)
	}
	return m.plain()
}

// keyText is key for a key that is kept as a string.
func (m mark) keyText(k string) mark { return m.with('k').text(k).plain() }
