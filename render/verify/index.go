package verify

import (
	"slices"

	"weft/state"
)

// index says which ServicePorts a walk brought to what: a chain, a set, a key of
// a set. What none of them met cannot change what is proven of them.
type index struct {
	users map[mark]*user
	seen  map[*state.ServicePort][]mark
}

// user counts the ServicePorts that met something, and names them unless they are
// many.
type user struct {
	count int
	list  []*state.ServicePort
}

// manyUsers is from how many ServicePorts on nobody is named: what so many share
// is looked at by a proof of all of them.
const manyUsers = 32

func newIndex(servicePorts int) *index {
	return &index{make(map[mark]*user, 4*servicePorts), make(map[*state.ServicePort][]mark, servicePorts)}
}

// indexed is the index of what each of the ServicePorts met.
func indexed(list []*state.ServicePort, met [][]mark) *index {
	x := newIndex(len(list))
	for i, sp := range list {
		x.set(sp, met[i])
	}
	return x
}

// set notes what the walks for a ServicePort met: each mark once.
func (x *index) set(sp *state.ServicePort, met []mark) {
	x.drop(sp, nil)
	x.seen[sp] = met
	for _, m := range met {
		u := x.users[m]
		if u == nil {
			u = &user{}
			x.users[m] = u
		}
		if u.count++; u.count <= manyUsers && u.count == len(u.list)+1 {
			u.list = append(u.list, sp)
		}
	}
}

func compact(met []mark) []mark {
	slices.Sort(met)
	return slices.Clone(slices.Compact(met))
}

// drop forgets a ServicePort, and calls left with what nobody meets any more.
func (x *index) drop(sp *state.ServicePort, left func(mark)) {
	for _, m := range x.seen[sp] {
		u := x.users[m]
		if u.count--; u.count == 0 {
			delete(x.users, m)
			if left != nil {
				left(m)
			}
			continue
		}
		if i := slices.Index(u.list, sp); i >= 0 {
			u.list = slices.Delete(u.list, i, i+1)
		}
	}
	delete(x.seen, sp)
}

// rename puts a record in the place of another.
func (x *index) rename(old, new *state.ServicePort) {
	met := x.seen[old]
	for _, m := range met {
		if i := slices.Index(x.users[m].list, old); i >= 0 {
			x.users[m].list[i] = new
		}
	}
	delete(x.seen, old)
	x.seen[new] = met
}

// of names the ServicePorts that met something; many says that it does not name
// them all.
func (x *index) of(m mark) (list []*state.ServicePort, many bool) {
	u := x.users[m]
	if u == nil {
		return nil, false
	}
	return u.list, u.count > len(u.list)
}

// met reports whether any ServicePort's walk came there.
func (x *index) met(m mark) bool { return x.users[m] != nil }
