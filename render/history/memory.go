package history

import (
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"slices"
	"time"

	"weft/state/fingerprint"
	"weft/state/replace"
)

// memory is what the one who adds knows of the folder, so that it is not read
// again for each entry.
type memory struct {
	files []file
	// stamp is when the folder was changed last, by us: if that is not so any more,
	// nothing is known.
	stamp time.Time
	// last is the newest entry with its parts; nil if this Log did not add it.
	last *kept
}

// kept is an entry that was added.
type kept struct {
	head head
	text []string
	// state are the fingerprints of the documents of its state.
	state fingerprint.Cut
}

// remembered is what the folder holds.
func (l *Log) remembered() ([]file, error) {
	if info, err := os.Stat(l.folder); err == nil && !l.memory.stamp.IsZero() && info.ModTime().Equal(l.memory.stamp) {
		return l.memory.files, nil
	}
	l.memory = memory{}
	l.removeLeftovers()
	return l.survey()
}

func (l *Log) remember(files []file) {
	info, err := os.Stat(l.folder)
	if err != nil {
		l.memory = memory{}
		return
	}
	l.memory.files, l.memory.stamp = files, info.ModTime()
}

// repeats reports whether e would say again what the newest file says, but for its
// time. A state is compared by its generation.
func (l *Log) repeats(newest file, e Entry) bool {
	h := newest.head
	if newest.err != nil || h.Result != e.Result || h.Generation != e.Generation || h.Set != e.Set ||
		h.Table != e.Table || h.Message != cut(e.Message) {
		return false
	}
	if last := l.memory.last; last != nil {
		return slices.Equal(last.text, e.parts())
	}
	return h.Base == nil && h.Digest == digest(e.parts()...)
}

// keep writes an entry, made of the one before where that is worth it, and returns
// what the folder holds then.
func (l *Log) keep(files []file, e Entry) ([]file, error) {
	next := l.cut(e)
	if data, h, ok := l.after(files, e, next); ok {
		left, fits, err := l.makeRoom(files, data.size(), e.Result == Proven, true)
		if err != nil {
			return nil, err
		}
		if fits {
			next.head = h
			return l.put(left, next, data)
		}
		files = left
	}
	data, h, err := encode(e)
	if err != nil {
		return nil, err
	}
	if data.size() > l.limits.Bytes {
		return nil, fmt.Errorf("entry of %d bytes: %w", data.size(), ErrTooLarge)
	}
	left, _, err := l.makeRoom(files, data.size(), e.Result == Proven, false)
	if err != nil {
		return nil, err
	}
	next.head = h
	return l.put(left, next, data)
}

// cut takes an entry apart.
func (l *Log) cut(e Entry) *kept {
	if e.Cut != nil {
		return &kept{text: e.parts(), state: *e.Cut}
	}
	before := fingerprint.Cut{Seed: maphash.MakeSeed()}
	if l.memory.last != nil {
		before = l.memory.last.state
	}
	return &kept{text: e.parts(), state: fingerprint.Cut{Seed: before.Seed, Parts: cutDocuments(e.State, before.Parts, before.Seed)}}
}

func (l *Log) put(files []file, e *kept, data contents) ([]file, error) {
	if _, err := replace.File(filepath.Join(l.folder, fileName(e.head.ID)), data); err != nil {
		return nil, err
	}
	l.memory.last = e
	return append(files, file{id: e.head.ID, size: data.size(), head: e.head}), nil
}

// groupPart is the part of all entries that a group may have: so few go at once.
const groupPart = 2

// after is the entry's file as one that is made of the newest; false where that
// one is not known, or the group long enough, or little is the same.
func (l *Log) after(files []file, e Entry, next *kept) (contents, head, bool) {
	last := l.memory.last
	if last == nil || last.state.Seed != next.state.Seed || len(files) == 0 || files[len(files)-1].id != last.head.ID {
		return contents{}, head{}, false
	}
	list := groups(files)
	if len(list[len(list)-1])+1 > l.limits.Entries/groupPart {
		return contents{}, head{}, false
	}
	text := difference(last.text, next.text)
	state := differ(last.state.Parts, next.state.Parts, fingerprint.Print.Len, textsOf(e.State, next.state.Parts))
	if 4*(len(text.literals)+len(state.literals)) > size(next.text)+len(e.State) {
		return contents{}, head{}, false
	}
	data, h, err := encodeAfter(last, e, text, state)
	return data, h, err == nil
}

func size(parts []string) (n int) {
	for _, p := range parts {
		n += len(p)
	}
	return n
}
