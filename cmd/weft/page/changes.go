package page

import (
	"slices"
	"time"

	"weft/render/history"
)

// The first page lists so many transactions. It shows the difference that each
// made if that is short and the rulesets are no longer than so many bytes: longer
// ones take their time, which is for the transaction's own page.
const (
	maxChanges      = 6
	maxCompared     = 256 << 10
	shownDifference = 80
)

// change is a transaction on the first page.
type change struct {
	history.Entry
	// Compared says that Rules is the difference to the one before it, Shown that
	// it is short.
	Compared, Shown bool
	Rules           difference
}

// comparison is what a difference is of. Entries never change, but after the
// folder was deleted their numbers begin anew.
type comparison struct {
	id   uint64
	time time.Time
}

// changes are the last transactions, newest first.
func (p *page) changes() []change {
	entries, err := p.History.List()
	if err != nil {
		p.Log.Debug("history not read for the page", "error", err)
	}
	p.heavy.Lock()
	defer p.heavy.Unlock()
	var list []change
	seen := map[comparison]compared{}
	for i, e := range slices.Backward(entries) {
		if len(list) == maxChanges {
			break
		}
		c := change{Entry: e}
		d := p.compare(entries[:i], e)
		seen[comparison{e.ID, e.Time}] = d
		c.Rules, c.Compared = d.difference, d.known
		c.Shown = d.known && len(c.Rules.Lines) > 0 && len(c.Rules.Lines) <= shownDifference
		list = append(list, c)
	}
	p.compared = seen
	return list
}

// compared is the difference of an entry to the newest proven one before it; not
// known if there is none, or it would take long.
type compared struct {
	difference
	known bool
}

func (p *page) compare(before []history.Entry, e history.Entry) compared {
	if d, ok := p.compared[comparison{e.ID, e.Time}]; ok {
		return d
	}
	i := lastProven(before)
	if i < 0 {
		return compared{}
	}
	old, err := p.History.Get(before[i].ID)
	if err != nil || len(old.Text) > maxCompared {
		return compared{}
	}
	whole, err := p.History.Get(e.ID)
	if err != nil || len(whole.Text) > maxCompared {
		return compared{}
	}
	return compared{differ(old.Text, whole.Text), true}
}

// lastProven is the place of the newest proven entry; -1 if there is none.
func lastProven(entries []history.Entry) int {
	for i, e := range slices.Backward(entries) {
		if e.Result == history.Proven {
			return i
		}
	}
	return -1
}
