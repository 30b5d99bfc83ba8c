package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"weft/state/replace"
)

// The defaults of a Store.
const (
	DefaultRenewal  = 200 * time.Second // a third of the default failAfter
	DefaultInterval = 5 * time.Second
)

// Store writes the state file: whole or not at all, and only when there is a
// reason to. There must be one writer for a file. It is not for concurrent use, but
// for [Store.Held].
type Store struct {
	// Renewal is the age at which Written is renewed though nothing changed.
	Renewal time.Duration
	// Interval is the least time between two writes for measurements alone. It is
	// longer for a file of more than 320 KiB; see [Store.Pause].
	Interval time.Duration

	path    string
	encoder Encoder
	size    int64     // of the file, in bytes
	last    *State    // what the file holds, as far as we know
	wrote   time.Time // when, by the clock of the caller
	written *written  // that file; nil if it cannot be told

	mu   sync.Mutex // from when the file is in its place until it is held
	held *Held
}

// NewStore is a Store for the file at path, with the default intervals.
func NewStore(path string) *Store {
	return &Store{Renewal: DefaultRenewal, Interval: DefaultInterval, path: path}
}

// Load reads what an earlier run left, so that the generation goes on from there.
// It is nil without an error if there is no file. A file that is refused is an
// error, and the Store begins again as if there were none.
func (s *Store) Load() (*State, error) {
	s.removeLeftovers()
	data, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the state file: %w", err)
	}
	last, err := Decode(s.path, data)
	if err != nil {
		return nil, err
	}
	s.last, s.wrote, s.size = last.sorted(nil), last.Written, int64(len(data))
	return last, nil
}

// removeLeftovers deletes the temporary files of writers that were killed: the
// folder is usually in memory.
func (s *Store) removeLeftovers() {
	dir, prefix := filepath.Dir(s.path), "."+filepath.Base(s.path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if digits, ok := strings.CutPrefix(e.Name(), prefix); ok && digits != "" && areDigits(digits) && e.Type().IsRegular() {
			_ = os.Remove(filepath.Join(dir, e.Name())) // it only takes up room
		}
	}
}

// Held is what was written last, and nil if nothing was, or if somebody changed it at once.
// It may be called from any goroutine.
func (s *Store) Held() *Held {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

// Last is the State that the file holds; nil if none was loaded or written.
func (s *Store) Last() *State { return s.last }

// Write makes the file hold st, and reports whether it wrote. It sets Generation,
// which grows by one when something that rules depend on changed, and Written,
// which is now unless st vouches for less; st itself stays as it is, and Last has
// the result, sorted.
//
// Nothing is written when nothing changed and the file is younger than Renewal,
// or when only measurements changed and it is younger than Pause: the caller
// comes again with the next ones. After an error the old file is intact, and the
// next Write tries again.
func (s *Store) Write(st *State, now time.Time) (written bool, err error) {
	if slices.Contains(st.ServicePorts, nil) {
		return false, fmt.Errorf("encode the state: %w", Validate(st))
	}
	next := *st.sorted(s.last)
	next.Generation = s.generation(&next)
	if st.Written.IsZero() || st.Written.After(now) {
		next.Written = now
	}
	next.Written = next.Written.UTC().Truncate(time.Millisecond)
	if !s.isDue(&next, now) {
		return false, nil
	}
	if !s.written.isAsItWas() {
		s.encoder = Encoder{} // which knows nothing of what it would copy
	}
	d, err := s.encoder.draft(&next, s.written.text())
	if err != nil {
		return false, fmt.Errorf("encode the state: %w", err)
	}
	if err := s.replace(&next, d); err != nil {
		return false, fmt.Errorf("write the state file %s: %w", s.path, err)
	}
	s.last, s.wrote, s.size = &next, now, int64(d.size)
	return true, nil
}

// replace puts a state in the file's place. Who is told of that at once finds it held.
func (s *Store) replace(st *State, d *draft) error {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o755); err != nil {
		return err
	}
	pending, err := replace.Write(s.path, d)
	if err != nil {
		s.encoder = Encoder{} // the next try should not fail for what cannot be copied
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := pending.Replace()
	if err != nil {
		return err
	}
	s.written.close()
	s.written = openWritten(s.path, info)
	s.held = s.written.heldFor(st)
	s.encoder.known, s.encoder.served = d.known, d.served
	return nil
}

// What measurements alone may write: so many bytes a second, but once in longestPause
// in any case. The file of a full cluster has 2 to 5 MB, for which the kernel needs memory
// that is new to it each time: on a virtual machine up to 36 ms of CPU time for 2 MB.
const (
	measurementRate = 64 << 10
	longestPause    = 30 * time.Second
)

// Pause is the time between two writes for measurements alone: Interval, or as long
// as the size of the file makes it. What was not measured before waits for Interval alone.
func (s *Store) Pause() time.Duration {
	return max(s.Interval, min(time.Duration(s.size)*time.Second/measurementRate, longestPause))
}

func (s *Store) generation(st *State) uint64 {
	switch {
	case s.last == nil:
		return max(1, st.Generation)
	case sameRules(s.last, st):
		return s.last.Generation
	}
	return s.last.Generation + 1
}

// isDue knows the reasons to write. A file that somebody removed is one, and so
// is a clock that went back.
func (s *Store) isDue(next *State, now time.Time) bool {
	if s.last == nil || next.Generation != s.last.Generation {
		return true
	}
	if _, err := os.Stat(s.path); errors.Is(err, fs.ErrNotExist) {
		return true
	}
	age := now.Sub(s.wrote)
	return age < 0 || age >= s.Renewal && !next.Written.Equal(s.last.Written) || age >= s.Pause() && !sameMeasurements(s.last, next) ||
		age >= s.Interval && !slices.EqualFunc(s.last.Nodes, next.Nodes, isAsKnown)
}

// isAsKnown reports whether the same is measured of a node: a reader need not wait for the
// first measurements as for newer ones.
func isAsKnown(a, b Node) bool {
	return (a.Latency == nil) == (b.Latency == nil) && (a.CPU == nil) == (b.CPU == nil)
}

// sameRules reports whether two sorted States make the same rules: all but
// measurements, what the shares were made of, and times. The nodes count, since a
// template may use them.
func sameRules(a, b *State) bool {
	return a.Node == b.Node && slices.Equal(a.Addresses, b.Addresses) &&
		slices.EqualFunc(a.ServicePorts, b.ServicePorts, sameServicePort) &&
		slices.EqualFunc(a.Nodes, b.Nodes, func(m, n Node) bool { return m.Name == n.Name && m.Address == n.Address })
}

func sameServicePort(p, q *ServicePort) bool {
	return p == q || p.Skipped == q.Skipped && p.AsksTheSame(q)
}

// sameMeasurements reports whether two sorted States whose rules are the same also
// are the same in all else but their times.
func sameMeasurements(a, b *State) bool {
	return slices.EqualFunc(a.Nodes, b.Nodes, sameNode) &&
		slices.EqualFunc(a.ServicePorts, b.ServicePorts, func(p, q *ServicePort) bool { return p == q || equalServicePorts(p, q) })
}

func sameNode(a, b Node) bool {
	return a.Name == b.Name && a.Address == b.Address && a.Cores == b.Cores && a.Unreachable.Equal(b.Unreachable) &&
		sameLatency(a.Latency, b.Latency) && sameCPU(a.CPU, b.CPU)
}

func sameLatency(a, b *Latency) bool {
	return a == b || a != nil && b != nil && a.Seconds == b.Seconds && a.Measured.Equal(b.Measured) && a.Source == b.Source
}

func sameCPU(a, b *CPU) bool {
	return a == b || a != nil && b != nil && a.Ratio == b.Ratio && a.Measured.Equal(b.Measured) && a.Source == b.Source
}
