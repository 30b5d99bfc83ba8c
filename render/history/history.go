// Package history keeps the last transactions: what was loaded or refused, the
// state that it was made of, and how it ended. It is what an operator reads
// after a bad night, and what a rollback loads.
//
// An entry is one file that is written whole or not at all, and never changed.
// So whoever reads needs no lock, and what a killed writer leaves behind is an
// entry less, not a broken one. There is no index that could disagree with the
// entries: a listing reads their first lines.
//
// Most entries hold only what differs from the one before: a change of one
// endpoint in a cluster of thousands is a few hundred bytes, not megabytes, to
// write as well as to keep. Every so often one is whole, and with it begins a group
// of entries that go together when there is no more room.
//
// The folder is bounded in number and in bytes before each write, not after it,
// so that a full disk cannot be the history's doing. The newest proven entry
// goes last, because it is the one to return to, and an entry that repeats the
// one before it in all but its time is not written again: a refused transaction
// that is tried every few seconds would soon have the history to itself.
//
// There must be one writer for a folder, which the lock of the applier sees to.
// Pins (see [Pin]) may be written by anyone.
package history

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"weft/state/fingerprint"
)

// Result is how a transaction ended.
type Result string

// The results.
const (
	// Proven rules were loaded and read back, and do what the state asks.
	Proven Result = "proven"
	// Refused rules were not loaded: the lint or nft did not take them, or they did
	// not do what the state asks where they were tried.
	Refused Result = "refused"
	// Unproven rules were loaded and do not do what the state asks, or it
	// cannot be told whether they do.
	Unproven Result = "unproven"
	// Failed is everything else, such as an nft that could not be run.
	Failed Result = "failed"
)

// Entry is a transaction.
type Entry struct {
	// ID counts up within a folder, from 1. Add sets it.
	ID uint64 `json:"id"`
	// Time is when it ended. Add sets it if it is zero.
	Time time.Time `json:"time"`
	// Generation is that of the state.
	Generation uint64 `json:"generation"`
	// Set is the template set.
	Set    string `json:"set"`
	Result Result `json:"result"`
	// Message is what was wrong: nft's own words, for one that nft refused. Of
	// more than [MaxMessage] bytes the rest is cut off.
	Message string `json:"message,omitempty"`
	// Table is the name of weft's tables.
	Table string `json:"table"`
	// Vars are those vars that whoever loads the text again needs in order to
	// prove it and to renew its heartbeat: table, nodePortIPs, heartbeat,
	// masquerade.
	Vars map[string]any `json:"vars,omitempty"`
	// LeftOut are the IDs of the ServicePorts that have no rules because their
	// template failed.
	LeftOut []string `json:"leftOut,omitempty"`

	// Text is the whole ruleset, and State the bytes of the state file. A
	// listing leaves them out.
	Text  string `json:"-"`
	State []byte `json:"-"`
	// Parts may stand for Text in an entry to be added: what it is put together
	// of. Entries that share most parts cost little.
	Parts []string `json:"-"`
	// Cut may tell the documents of State. It spares who adds the search for them.
	Cut *fingerprint.Cut `json:"-"`
}

func (e Entry) parts() []string {
	if e.Parts != nil {
		return e.Parts
	}
	return []string{e.Text}
}

// MaxMessage bounds Entry.Message, in bytes.
const MaxMessage = 64 << 10

// Limits bound a folder. The zero value stands for the defaults.
type Limits struct {
	// Entries is how many are kept, at least 1.
	Entries int
	// Bytes is how much room all entries take together.
	Bytes int64
}

// The default limits. The bytes are main memory where the folder is under /run.
const (
	DefaultEntries = 32
	DefaultBytes   = 64 << 20
)

// The errors that a caller may want to know.
var (
	// ErrNoEntry is an entry that is not there, or no longer.
	ErrNoEntry = errors.New("no such entry in the history")
	// ErrTooLarge is an entry that alone is larger than Limits.Bytes.
	ErrTooLarge = errors.New("larger than the whole history may be")
)

// Log is the history in one folder. It may be used by several goroutines if one of
// them alone adds.
type Log struct {
	folder string
	limits Limits
	memory memory
}

// Open is the history in a folder, which need not exist. An empty folder is a
// history that keeps nothing.
func Open(folder string, limits Limits) *Log {
	if limits.Entries < 1 {
		limits.Entries = DefaultEntries
	}
	if limits.Bytes < 1 {
		limits.Bytes = DefaultBytes
	}
	return &Log{folder: folder, limits: limits}
}

// Folder is where the history is; empty if it keeps nothing.
func (l *Log) Folder() string { return l.folder }

// Add keeps an entry, and lets the oldest go that there is no room for. An error
// costs the entry and nothing else: whoever applies goes on.
func (l *Log) Add(e Entry) error {
	if l.folder == "" {
		return nil
	}
	if err := l.add(e); err != nil {
		return fmt.Errorf("keep the transaction in the history: %w", err)
	}
	return nil
}

func (l *Log) add(e Entry) error {
	if err := os.MkdirAll(l.folder, 0o755); err != nil {
		return err
	}
	files, err := l.remembered()
	if err != nil {
		return err
	}
	e.ID = 1
	if last := len(files) - 1; last >= 0 {
		if l.repeats(files[last], e) {
			return nil
		}
		e.ID = files[last].id + 1
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if files, err = l.keep(files, e); err != nil {
		l.memory = memory{}
		return err
	}
	l.remember(files)
	return nil
}

// List is what the history holds, oldest first, without texts. Entries that
// cannot be read are left out, and the error tells of them.
func (l *Log) List() ([]Entry, error) {
	kept, err := l.survey()
	if err != nil {
		return nil, fmt.Errorf("list the history: %w", err)
	}
	var entries []Entry
	var problems []error
	for _, k := range kept {
		if k.err != nil {
			problems = append(problems, k.err)
			continue
		}
		entries = append(entries, k.head.Entry)
	}
	return entries, errors.Join(problems...)
}

// Get is an entry with its texts; [ErrNoEntry] if there is none.
func (l *Log) Get(id uint64) (Entry, error) {
	if l.folder == "" {
		return Entry{}, fmt.Errorf("%d: %w", id, ErrNoEntry)
	}
	e, _, err := read(l.folder, id)
	if errors.Is(err, os.ErrNotExist) {
		return Entry{}, fmt.Errorf("%d: %w", id, ErrNoEntry)
	}
	return e, err
}

// Last is the newest proven entry with its texts, and whether there is one. An
// entry that cannot be read and may be newer is an error: it is not known what was
// proven last.
func (l *Log) Last() (Entry, bool, error) {
	files, err := l.survey()
	if err != nil {
		return Entry{}, false, fmt.Errorf("list the history: %w", err)
	}
	for _, f := range slices.Backward(files) {
		if f.err != nil {
			return Entry{}, false, f.err
		}
		if f.head.Result == Proven {
			e, err := l.Get(f.id)
			return e, err == nil, err
		}
	}
	return Entry{}, false, nil
}

// fileName has digits enough that names sort as IDs do.
func fileName(id uint64) string { return fmt.Sprintf("%010d", id) }

// parseName is the ID of an entry's file; false for other files.
func parseName(name string) (uint64, bool) {
	id, err := strconv.ParseUint(name, 10, 64)
	return id, err == nil && name == fileName(id)
}
