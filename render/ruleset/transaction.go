package ruleset

import "strings"

// Transaction is what turns a kernel that holds one ruleset into one that holds
// another: nft takes all of it or nothing.
type Transaction struct {
	// Touched says what changes, a table each, in the order of their names.
	Touched []Touched
	// Replaced says what is taken out and put in again although only a part of
	// it differs, because nft has no command for the difference.
	Replaced []Replaced

	changes []*tableChange
	others  []*Statement
	old     *Ruleset
	new     *Ruleset
}

// Touched is what a transaction changes in one table.
type Touched struct {
	Family, Table string
	// Whole says that the table is new, gone or replaced. The lists are then
	// empty.
	Whole bool
	// Chains that are new or gone, or whose rules or heads change.
	Chains []string
	// Sets and maps that are new or gone, or whose elements or heads change.
	Sets []TouchedSet
	// Objects that are new, gone or replaced: counters, quotas, limits and their like.
	Objects []string
}

// TouchedSet is what changes in one set or map.
type TouchedSet struct {
	Name string
	// Whole says that the set is new, gone, replaced or filled anew. There are
	// then no keys.
	Whole bool
	// Keys of the elements that are deleted, added or changed, as the text has
	// them.
	Keys []string
}

// Replaced is a block that is replaced whole.
type Replaced struct {
	// What is the block, as "table ip weft" or "chain ip weft services".
	What string
	// Why says what of it cannot be changed in place, or what it refers to that
	// is replaced.
	Why string
}

// Empty reports whether there is nothing to do.
func (tx *Transaction) Empty() bool { return len(tx.changes)+len(tx.others) == 0 }

// Text is the transaction as nft commands, empty where there is nothing to do.
func (tx *Transaction) Text() string {
	w := &writer{}
	w.Grow(usualSize)
	tx.write(w)
	return w.String()
}

// usualSize is what the transaction of a change takes, a chain or two of those that
// ServicePorts share, in bytes.
const usualSize = 12 << 10

// Source is the line of the new ruleset that a line of Text was made of, both
// from 1; 0 where it was not made of any, as a deletion.
func (tx *Transaction) Source(line int) int {
	w := &writer{places: placesOf(tx.new)}
	tx.write(w)
	if line < 1 || line > len(w.sources) || w.sources[line-1] < 0 {
		return 0
	}
	return 1 + strings.Count(tx.new.text()[:w.sources[line-1]], "\n")
}

func (tx *Transaction) write(w *writer) {
	for _, c := range tx.changes {
		c.write(w)
	}
	for _, s := range tx.others {
		w.from(s, s.at)
		w.line(0, s.Text)
	}
}

// tableChange is what happens to one table, in this order.
type tableChange struct {
	family, name string
	deleted      bool // the whole table
	whole        bool // the addition is all of the table
	deletions    []deletion
	addition     *addition
	insertions   []insertion
	elements     []elementList // for sets that are there already
	others       []*Statement  // of the top level, in a piece
}

func (c *tableChange) empty() bool {
	return !c.deleted && len(c.deletions)+len(c.insertions)+len(c.elements)+len(c.others) == 0 && c.addition == nil
}

// deletion is a command that makes room.
type deletion struct {
	verb     string // "flush" or "delete"; "add" for elements whose timeout may have run out
	kind     string // "chain", "set", "map", "element", or that of an object
	name     string // of the element's set
	elements []*Element
}

// addition is a table block with what is added.
type addition struct {
	comment string
	flags   []string
	objects []*Object
	sets    []*Set
	chains  []chainPart
	others  []*Statement
}

// chainPart is what is added of a chain.
type chainPart struct {
	*Chain
	head  bool // its base and comment
	rules []Rule
}

// insertion is a rule that goes before all others of its chain.
type insertion struct {
	chain *Chain
	rule  int // of the chain's
}

// elementList are elements that are added to a set.
type elementList struct {
	set      *Set
	elements []*Element
}

func (c *tableChange) write(w *writer) {
	for _, s := range c.others {
		w.line(0, s.Text)
	}
	table := c.family + " " + c.name
	if c.deleted {
		w.line(0, "delete table ", table)
	}
	for _, d := range c.deletions {
		if d.elements == nil {
			w.line(0, d.verb, " ", d.kind, " ", table, " ", d.name)
			continue
		}
		w.elementCommand(d.verb+" element "+table+" "+d.name, d.elements, func(e *Element) string {
			if d.verb == "add" {
				return e.Text
			}
			return e.Key
		})
	}
	if c.addition != nil {
		w.addition(table, c.addition)
	}
	for _, i := range c.insertions {
		rule := &i.chain.Rules[i.rule]
		w.from(i.chain.block(i.rule), rule.at)
		w.line(0, "insert rule ", table, " ", i.chain.Name, " ", rule.Text)
	}
	for _, l := range c.elements {
		w.elementCommand("add element "+table+" "+l.set.Name, l.elements, func(e *Element) string { return e.Text })
	}
}

// elementCommand writes a command for elements: each of several on its own line.
func (w *writer) elementCommand(command string, elements []*Element, text func(e *Element) string) {
	if len(elements) == 1 {
		w.from(elements[0], elements[0].at)
		w.line(0, command, " { ", text(elements[0]), " }")
		return
	}
	w.line(0, command, " {")
	for _, e := range elements {
		w.from(e, e.at)
		w.line(1, text(e), ",")
	}
	w.line(0, "}")
}
