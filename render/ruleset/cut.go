package ruleset

import (
	"slices"
)

// Piece is a part of a transaction that is too large for one: a transaction
// itself. Pieces are loaded in their order, and no packet ever meets half of what
// the whole does:
//
//   - first comes what is new and what nothing refers to yet. Whatever becomes of
//     these pieces, packets do not see them;
//   - then what packets see, in one piece; but chains that no packet meets two of
//     may be in several (see [Transaction.Cut]);
//   - then the end of what nothing refers to any more.
type Piece struct {
	// Visible says that packets see what it does.
	Visible bool
	// Off says that it takes a table away whose successor comes with the last
	// visible piece. Until then nothing of the table is in force.
	Off bool

	changes []*tableChange
	added   []block // by a piece that is not visible
	size    int
}

// block is a block of a table.
type block struct {
	family, table string
	content       any // *Chain, *Set, *Object, or nil for the table itself
}

// Text is the piece as nft commands.
func (p *Piece) Text() string {
	var w writer
	for _, c := range p.changes {
		c.write(&w)
	}
	return w.String()
}

// Undo is what takes away again what pieces added that are not visible, as nft
// commands: what is left to do when one behind them could not be loaded.
func Undo(pieces []Piece) string {
	var w writer
	whole := map[string]bool{}
	blocks := map[string][]any{}
	var tables []string
	for i := range pieces {
		for _, b := range pieces[i].added {
			name := b.family + " " + b.table
			if !slices.Contains(tables, name) {
				tables = append(tables, name)
			}
			if b.content == nil {
				whole[name] = true
			} else {
				blocks[name] = append(blocks[name], b.content)
			}
		}
	}
	for _, name := range tables {
		if whole[name] {
			w.line(0, "delete table ", name)
			continue
		}
		for _, content := range usersFirst(blocks[name]) {
			d := deletionOf(content)
			w.line(0, d.verb, " ", d.kind, " ", name, " ", d.name)
		}
	}
	return w.String()
}

// Cut cuts the transaction into pieces of at most limit bytes of text each, where
// that can be done without packets seeing half of it; what cannot be cut is a
// larger piece. One that is not larger is a single piece.
//
// Chains that stay are cut apart only where each packet meets at most one of them:
// where they are reached through goto from elements that stay, and share nothing
// with each other that changes. A table that is replaced whole is away in between.
func (tx *Transaction) Cut(limit int) []Piece {
	if all := tx.all(); all.size <= limit {
		return []Piece{all}
	}
	if len(tx.others) > 0 {
		return []Piece{tx.all()} // who knows what these commands do
	}
	var c cutter
	for _, change := range tx.changes {
		c.table(tx, change)
	}
	pieces := pack(c.off, limit, Piece{Visible: true, Off: true})
	pieces = append(pieces, pack(c.before, limit, Piece{})...)
	visible := c.visible
	if size(visible) > limit {
		var alone []part
		alone, visible = tx.apart(visible)
		pieces = append(pieces, pack(alone, limit, Piece{Visible: true})...)
	}
	pieces = append(pieces, pack(visible, size(visible), Piece{Visible: true})...)
	return append(pieces, pack(c.after, limit, Piece{})...)
}

// all is the whole transaction.
func (tx *Transaction) all() Piece {
	p := Piece{Visible: true, changes: slices.Clone(tx.changes), size: len(tx.Text())}
	if len(tx.others) > 0 {
		p.changes = append(p.changes, &tableChange{others: tx.others})
	}
	return p
}

// part is a change of a table that does one thing.
type part struct {
	change *tableChange
	added  []block
	size   int
	// together says that nothing of it is what packets could see alone.
	together bool
}

func newPart(c *tableChange, added ...block) part {
	var w writer
	c.write(&w)
	return part{change: c, added: added, size: w.Len()}
}

func size(parts []part) (n int) {
	for _, p := range parts {
		n += p.size
	}
	return n
}

// pack puts parts together into pieces of at most limit bytes.
func pack(parts []part, limit int, like Piece) (pieces []Piece) {
	for _, p := range parts {
		if n := len(pieces); n == 0 || pieces[n-1].size+p.size > limit {
			pieces = append(pieces, like)
		}
		last := &pieces[len(pieces)-1]
		last.size += p.size
		last.added = append(last.added, p.added...)
		if n := len(last.changes); n > 0 && last.changes[n-1].takes(p.change) {
			last.changes[n-1].take(p.change)
			continue
		}
		last.changes = append(last.changes, p.change)
	}
	return pieces
}

// takes tells whether another change can go into the same block of the table: if
// both do nothing but add chains.
func (c *tableChange) takes(other *tableChange) bool {
	return c.addsChains() && other.addsChains() && c.family == other.family && c.name == other.name
}

func (c *tableChange) addsChains() bool {
	return !c.deleted && len(c.deletions)+len(c.insertions)+len(c.elements)+len(c.others) == 0 &&
		c.addition != nil && len(c.addition.objects)+len(c.addition.sets)+len(c.addition.others) == 0 && c.addition.comment == ""
}

func (c *tableChange) take(other *tableChange) {
	c.addition.chains = append(c.addition.chains, other.addition.chains...)
}
