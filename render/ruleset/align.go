package ruleset

import "strings"

// stretch is a stretch that an old and a new text share.
type stretch struct{ old, new, length int }

const (
	// distinct is the length from which on a part is taken for a landmark: shorter
	// ones, as a line's end, are everywhere.
	distinct = 16
	// window is how far ahead a landmark is looked for before all parts are.
	window = 32
	// narrow bounds the parts whose bytes are compared one by one.
	narrow = 64 << 10
)

// align finds what the texts share, in their order. Texts that share most of
// their parts are compared in proportion to the number of parts, and to the
// bytes of those that differ.
func align(old, new []string) []stretch {
	a := aligner{old: old, new: new}
	for a.i < len(old) || a.j < len(new) {
		if a.i < len(old) && a.j < len(new) && old[a.i] == new[a.j] {
			a.share(len(old[a.i]))
			a.i++
			a.j++
			continue
		}
		a.differ(a.landmark())
	}
	return a.runs
}

type aligner struct {
	old, new     []string
	i, j         int // parts
	oldAt, newAt int // their offsets
	runs         []stretch
	places       map[string]int // of the landmarks of old, if they were needed
}

// share notes bytes that both have.
func (a *aligner) share(length int) {
	if length == 0 {
		return
	}
	if n := len(a.runs); n > 0 && a.runs[n-1].old+a.runs[n-1].length == a.oldAt && a.runs[n-1].new+a.runs[n-1].length == a.newAt {
		a.runs[n-1].length += length
	} else {
		a.runs = append(a.runs, stretch{a.oldAt, a.newAt, length})
	}
	a.oldAt += length
	a.newAt += length
}

// differ goes to the parts i and j, before which there is no landmark.
func (a *aligner) differ(i, j int) {
	old, oldLength := region(a.old[a.i:i])
	new, newLength := region(a.new[a.j:j])
	oldEnd, newEnd := a.oldAt+oldLength, a.newAt+newLength
	prefix := commonPrefix(old, new)
	suffix := commonSuffix(old[prefix:], new[prefix:])
	a.share(prefix)
	a.oldAt, a.newAt = oldEnd-suffix, newEnd-suffix
	a.share(suffix)
	a.i, a.j = i, j
}

// region puts parts together, unless they are many bytes in many parts.
func region(parts []string) (text string, length int) {
	for _, p := range parts {
		length += len(p)
	}
	if len(parts) == 1 {
		return parts[0], length
	}
	if length > narrow {
		return "", length
	}
	return strings.Join(parts, ""), length
}

// landmark finds the next part that both have.
func (a *aligner) landmark() (i, j int) {
	for distance := 1; distance <= window; distance++ {
		for x := range distance + 1 {
			if i, j := a.i+x, a.j+distance-x; a.meets(i, j) {
				return i, j
			}
		}
	}
	return a.farLandmark()
}

func (a *aligner) meets(i, j int) bool {
	return i < len(a.old) && j < len(a.new) && len(a.old[i]) >= distinct && a.old[i] == a.new[j]
}

func (a *aligner) farLandmark() (i, j int) {
	if a.places == nil {
		a.places = make(map[string]int, len(a.old))
		for i, part := range a.old {
			if len(part) >= distinct {
				a.places[part] = i
			}
		}
	}
	for j := a.j; j < len(a.new); j++ {
		if i, ok := a.places[a.new[j]]; ok && i >= a.i {
			return i, j
		}
	}
	return len(a.old), len(a.new)
}

// commonPrefix is the number of bytes that both begin with.
func commonPrefix(a, b string) int {
	const block = 1 << 10
	n, limit := 0, min(len(a), len(b))
	for n+block <= limit && a[n:n+block] == b[n:n+block] {
		n += block
	}
	for n < limit && a[n] == b[n] {
		n++
	}
	return n
}

// commonSuffix is the number of bytes that both end with.
func commonSuffix(a, b string) int {
	const block = 1 << 10
	n, limit := 0, min(len(a), len(b))
	for n+block <= limit && a[len(a)-n-block:len(a)-n] == b[len(b)-n-block:len(b)-n] {
		n += block
	}
	for n < limit && a[len(a)-n-1] == b[len(b)-n-1] {
		n++
	}
	return n
}
