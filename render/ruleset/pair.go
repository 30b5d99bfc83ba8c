package ruleset

// pairs is what differs between two lists of things with names.
type pairs[T any] struct {
	gone, added []*T
	changed     []pair[T]
	moved       bool // something that both share stands in another order
}

type pair[T any] struct{ old, new *T }

// pairUp compares two lists by the names of what they hold, and passes over what
// both share. A name that stands twice comes back: then the pairs are none.
func pairUp[T any](old, new []*T, name func(*T) string) (p pairs[T], twice string) {
	oldOnly, newOnly := unshared(old, new)
	if len(oldOnly)+len(newOnly) == 0 {
		return p, ""
	}
	before, after := byName(oldOnly, name), byName(newOnly, name)
	for _, list := range [][]*T{old, new} {
		if twice := repeated(list, before, after, name); twice != "" {
			return p, twice
		}
	}
	for _, n := range newOnly {
		switch o := before[name(n)]; {
		case o == nil:
			p.added = append(p.added, n)
		case o != n:
			p.changed = append(p.changed, pair[T]{o, n})
		default:
			p.moved = true
		}
	}
	for _, o := range oldOnly {
		if after[name(o)] == nil {
			p.gone = append(p.gone, o)
		}
	}
	return p, ""
}

func byName[T any](list []*T, name func(*T) string) map[string]*T {
	m := make(map[string]*T, len(list))
	for _, t := range list {
		m[name(t)] = t
	}
	return m
}

// fewNames bounds the names that are compared one by one.
const fewNames = 4

// repeated gives a name of either map that stands more than once in a list.
func repeated[T any](list []*T, a, b map[string]*T, name func(*T) string) string {
	count := make(map[string]int, len(a)+len(b))
	for _, names := range []map[string]*T{a, b} {
		for n := range names {
			count[n] = 0
		}
	}
	few := make([]string, 0, fewNames)
	for n := range count {
		if len(count) <= fewNames {
			few = append(few, n)
		}
	}
	for _, t := range list {
		n := name(t)
		if len(few) > 0 && !oneOf(few, n) {
			continue
		}
		if c, known := count[n]; known {
			if count[n] = c + 1; c > 0 {
				return n
			}
		}
	}
	return ""
}

func oneOf(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// ahead is how far unshared looks for what both lists hold.
const ahead = 32

// unshared leaves out most of what both lists hold in the same order.
func unshared[T any](old, new []*T) (oldOnly, newOnly []*T) {
	i, j := 0, 0
	for i < len(old) && j < len(new) {
		if old[i] == new[j] {
			i++
			j++
			continue
		}
		x, y := meeting(old[i:], new[j:])
		oldOnly, newOnly = append(oldOnly, old[i:i+x]...), append(newOnly, new[j:j+y]...)
		i, j = i+x, j+y
	}
	return append(oldOnly, old[i:]...), append(newOnly, new[j:]...)
}

// meeting is how far it is to the next that both hold.
func meeting[T any](old, new []*T) (x, y int) {
	for distance := 1; distance <= ahead; distance++ {
		for x := range distance + 1 {
			if y := distance - x; x < len(old) && y < len(new) && old[x] == new[y] {
				return x, y
			}
		}
	}
	return min(ahead, len(old)), min(ahead, len(new))
}
