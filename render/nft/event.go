package nft

import (
	"fmt"
	"strings"

	"weft/render/verify/nfnl"
)

// Event is what happened to the tables with a name.
type Event struct {
	// Lost says that there may have been more transactions than were heard of:
	// nothing that was proven before holds. The other fields are then empty.
	Lost bool
	// Expired says that the kernel itself took elements away, without a
	// transaction, because their time was over. Kernel 6.18 says nothing of it.
	Expired bool
	// Own says that weft sent the transaction; see [Own].
	Own bool
	// Beat says that it was a [Heart]'s.
	Beat bool
	// Generation is the number of the transaction; 0 of what the kernel did by
	// itself.
	Generation uint32
	// Process sent the transaction; it is zero of what the kernel did by itself.
	Process Process
	// Changes are the first of what changed in the order of the transaction,
	// but tables before all others. Of weft's own transactions there are none:
	// nobody needs to be told what they changed.
	Changes []Change
	// More is how many changes there were beyond those.
	More int
	// Touched names everything that changed, by table.
	Touched map[nfnl.TableID]*nfnl.Touched
}

// Process is who sent a transaction.
type Process struct {
	// ID is the process id as the initial process namespace counts; 0 if the
	// kernel did not tell.
	ID uint32
	// Name is the name of the thread, at most 15 bytes.
	Name string
	// Port is the id of the netlink socket that sent it.
	Port uint32
}

// Change is one object that a transaction added, deleted or changed. What is
// changed in place shows as added.
type Change struct {
	Deleted bool
	Kind    Kind
	Family  nfnl.Family
	Table   string
	// Name of the table, chain, set, object or flowtable; of the chain of a
	// rule, and of the set of an element.
	Name string
	// Handle of a rule.
	Handle uint64
	// Key of an element as the kernel holds it.
	Key []byte
	// Comment of a rule or element; may be empty.
	Comment string
}

// Kind is a kind of object.
type Kind string

// The kinds of objects. Other stands for a message that is not known.
const (
	Table     Kind = "table"
	Chain     Kind = "chain"
	Rule      Kind = "rule"
	Set       Kind = "set"
	Element   Kind = "element"
	Object    Kind = "object"
	Flowtable Kind = "flowtable"
	Other     Kind = "other"
)

// maxChanges bounds what an event tells one by one, of tables and of all else:
// a flush of the largest table has a hundred thousand changes.
const maxChanges = 64

// saidChanges is how many changes String tells.
const saidChanges = 3

// String is the event in one line, such as
//
//	rule 7 of chain ip weft services deleted by nft (process 4711)
func (e Event) String() string {
	if e.Lost {
		return "notifications lost"
	}
	said := make([]string, 0, saidChanges)
	for _, c := range e.Changes[:min(len(e.Changes), saidChanges)] {
		said = append(said, c.String())
	}
	line := strings.Join(said, ", ")
	if more := len(e.Changes) + e.More - len(said); more > 0 {
		line += fmt.Sprintf(" and %d more changes", more)
	}
	if e.Expired {
		return line + " by the end of its time"
	}
	if e.Process.ID == 0 {
		return line
	}
	return fmt.Sprintf("%s by %s (process %d)", line, e.Process.Name, e.Process.ID)
}

// String is the change in words.
func (c Change) String() string {
	verb := "added"
	if c.Deleted {
		verb = "deleted"
	}
	if c.Kind == Table {
		return fmt.Sprintf("table %s %s %s", c.Family, c.Table, verb)
	}
	if c.Comment != "" {
		return fmt.Sprintf("%s (%s) %s", c.subject(), c.Comment, verb)
	}
	return c.subject() + " " + verb
}

func (c Change) subject() string {
	place := fmt.Sprintf("%s %s %s", c.Family, c.Table, c.Name)
	switch c.Kind {
	case Rule:
		return fmt.Sprintf("rule %d of chain %s", c.Handle, place)
	case Element:
		return fmt.Sprintf("element %#x of set %s", c.Key, place)
	}
	return fmt.Sprintf("%s %s", c.Kind, place)
}
