package render

import (
	"net/netip"
	"slices"

	"weft/state"
)

// dependency says what of the data, beyond a single ServicePort, a text was made
// of. It is a set of bits.
type dependency uint8

const (
	onFamilies     dependency = 1 << iota // which families there are
	onAddresses                           // the node's addresses of ip
	onServicePorts                        // which ServicePorts there are in ip, and all that they say
)

// dependencies is how many bits there are: those of ip6 follow those of ip.
const dependencies = 5

func (d dependency) of(family int) dependency { return d << (2 * family) }

// sources are what may change about a [Data].
type sources struct {
	present  []*Family
	families [2]familySource // ip and ip6
}

// familySource is what may change about a [Family].
type familySource struct {
	addresses    []netip.Addr
	servicePorts []*ServicePort
	ports        nodePorts // of servicePorts
}

// view shows one state after the other to templates. What says the same as before
// is the same value as before.
type view struct {
	data     *Data
	families [2]*Family
	now      sources
	records  []record
	spare    []record // room for the next ones
}

// record is a ServicePort of the state with what templates see of it: nothing
// in a family where it takes no connection.
type record struct {
	origin *state.ServicePort
	views  [2]*ServicePort
}

// newView shows states of a node. asked, which may be nil, is called whenever a
// template asks for what may change.
func newView(node string, vars Vars, asked func(dependency)) *view {
	if asked == nil {
		asked = func(dependency) {}
	}
	v := &view{}
	v.data = &Data{Node: node, Vars: vars, source: func(d dependency) *sources {
		asked(d)
		return &v.now
	}}
	for i, name := range [...]string{"ip", "ip6"} {
		v.now.families[i].ports = nodePorts{}
		v.families[i] = &Family{
			Name: name, AddrType: [...]string{"ipv4_addr", "ipv6_addr"}[i], Vars: vars, v6: i == 1,
			source: func(d dependency) *familySource {
				asked(d.of(i))
				return &v.now.families[i]
			},
		}
	}
	return v
}

// show brings the view to a state, without the ServicePorts in leftOut, and says
// what is other than before. The state is one of the view's node. After an error
// the view is of no use.
func (v *view) show(st *state.State, leftOut map[*state.ServicePort]bool) (changed dependency, err error) {
	if err := guardAddresses(st.Addresses); err != nil {
		return 0, err
	}
	var present []*Family
	for i, f := range v.families {
		addresses := addressesOf(st, f)
		if len(addresses) > 0 {
			present = append(present, f)
		}
		if now := &v.now.families[i]; !slices.Equal(now.addresses, addresses) {
			now.addresses = addresses
			changed |= onAddresses.of(i)
		}
	}
	if !slices.Equal(v.now.present, present) {
		v.now.present = present
		v.records = nil // made for other families
		changed |= onFamilies
	}
	if err := v.read(st); err != nil {
		return 0, err
	}
	for i, f := range v.families {
		list := v.steered(i, f, leftOut)
		if now := &v.now.families[i]; !slices.Equal(now.servicePorts, list) {
			now.ports.change(now.servicePorts, list)
			now.servicePorts = list
			changed |= onServicePorts.of(i)
		}
	}
	return changed, nil
}

func addressesOf(st *state.State, f *Family) (list []netip.Addr) {
	for _, a := range st.Addresses {
		if f.holds(a) {
			list = append(list, a)
		}
	}
	return list
}

func (v *view) steered(i int, f *Family, leftOut map[*state.ServicePort]bool) []*ServicePort {
	if len(v.now.families[i].addresses) == 0 {
		return nil
	}
	list := make([]*ServicePort, 0, len(v.records))
	for j := range v.records {
		if p := v.records[j].views[i]; p != nil && (len(leftOut) == 0 || !leftOut[p.origin]) {
			list = append(list, p)
		}
	}
	return list
}

// read takes in the ServicePorts. Both lists are in the order of a state, so that
// one walk finds those that were there before; one that it does not find, since
// the order is another, costs time alone.
func (v *view) read(st *state.State) error {
	next := slices.Grow(v.spare[:0], len(st.ServicePorts))
	before := v.records
	for _, p := range st.ServicePorts {
		if len(before) > 0 && before[0].origin == p {
			next = append(next, before[0])
			before = before[1:]
			continue
		}
		if err := guardServicePort(p); err != nil {
			return err
		}
		for len(before) > 0 && before[0].origin.Compare(p) < 0 {
			before = before[1:]
		}
		if len(before) > 0 && before[0].origin.AsksTheSame(p) {
			next = append(next, before[0].renewed(p))
			before = before[1:]
			continue
		}
		next = append(next, v.record(p))
	}
	clear(v.records)
	v.records, v.spare = next, v.records
	return nil
}

func (v *view) record(p *state.ServicePort) record {
	r := record{origin: p}
	for i, f := range v.families {
		if slices.Contains(v.now.present, f) {
			r.views[i] = newServicePort(v.data.Node, p, f)
		}
	}
	return r
}

// renewed is the record with another origin that says the same to templates.
func (r record) renewed(p *state.ServicePort) record {
	r.origin = p
	for _, view := range r.views {
		if view != nil {
			view.origin = p
		}
	}
	return r
}

// forget lets go of what was made only to be shown, when the templates are done.
func (v *view) forget() {
	for _, f := range v.families {
		f.shown.forget()
	}
}
