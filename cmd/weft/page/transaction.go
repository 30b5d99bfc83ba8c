package page

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"weft/render/history"
)

// transaction is the page of an entry of the history.
type transaction struct {
	history.Entry
	// Before is the ID of the entry that it is compared with: the newest proven
	// one before it; 0 is none.
	Before uint64
	// Rules and State are the differences to that entry.
	Rules, State difference
}

// difference is one of two texts.
type difference struct {
	Lines          []changed
	Added, Removed int
	// Cut is how many lines are not shown.
	Cut int
}

// changed is a line of a difference: added, removed, where it is, or same.
type changed struct{ Kind, Text string }

// maxDifference bounds the lines of a difference that a page shows.
const maxDifference = 2000

func (p *page) transaction(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseUint(r.FormValue("id"), 10, 64)
	if err != nil {
		p.problem(w, r, http.StatusNotFound, "A transaction has a number.")
		return
	}
	p.heavy.Lock()
	defer p.heavy.Unlock()
	e, err := p.History.Get(id)
	if err != nil {
		p.problem(w, r, http.StatusNotFound, "The history has no transaction "+strconv.FormatUint(id, 10)+", or no longer.")
		return
	}
	v := &transaction{Entry: e}
	before := p.before(id)
	v.Before = before.ID
	v.Rules = differ(before.Text, e.Text)
	v.State = differ(string(before.State), string(e.State))
	p.show(w, r, http.StatusOK, "transaction", frame{Title: "Transaction " + strconv.FormatUint(id, 10), Here: "transactions", Status: p.Recorder.Status(), Content: v})
}

// before is the newest proven entry before one; the zero Entry if there is none.
func (p *page) before(id uint64) history.Entry {
	entries, err := p.History.List()
	if err != nil {
		p.Log.Debug("history not read for the page", "error", err)
	}
	i := lastProven(slices.DeleteFunc(entries, func(e history.Entry) bool { return e.ID >= id }))
	if i < 0 {
		return history.Entry{}
	}
	whole, err := p.History.Get(entries[i].ID)
	if err != nil {
		p.Log.Debug("history not read for the page", "error", err)
	}
	return whole
}

func differ(before, after string) (d difference) {
	text := string(diff.Diff("before", []byte(before), "after", []byte(after)))
	for i, l := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		if i < 3 { // the names, which the page says itself
			continue
		}
		c := changed{"same", l}
		switch {
		case strings.HasPrefix(l, "+"):
			c.Kind = "added"
			d.Added++
		case strings.HasPrefix(l, "-"):
			c.Kind = "removed"
			d.Removed++
		case strings.HasPrefix(l, "@@"):
			c.Kind = "where"
		}
		if len(d.Lines) < maxDifference {
			d.Lines = append(d.Lines, c)
		} else {
			d.Cut++
		}
	}
	return d
}
