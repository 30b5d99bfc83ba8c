package ruleset

// Transaction is what turns a kernel that holds one ruleset into one that holds
// another.
type Transaction struct {
	// Touched says what changes, a table each, in the order of the names.
	Touched []Touched
	// Replaced says what is taken out and put in again although only a part of
	// it differs, because nft has no command for the difference.
	Replaced []Replaced

	text string
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
	// Why says what of it cannot be changed in place.
	Why string
}

// Empty reports whether there is nothing to do.
func (tx *Transaction) Empty() bool { return tx.text == "" }

// Text is the transaction as nft commands, empty where there is nothing to do.
func (tx *Transaction) Text() string { return tx.text }

// Source is the line of the ruleset that a line of Text was made of, both from 1;
// 0 where it was not made of any, as a deletion.
func (tx *Transaction) Source(line int) int { return 0 }
