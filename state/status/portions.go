package status

import "cmp"

// Portion is what a node gets of a ServicePort; an endpoint of which no node is known
// is one by itself.
type Portion struct {
	// Name is that of the node, or the address of the endpoint. Known says that it
	// is a node.
	Name  string
	Known bool
	// Share is that of now, the mean over the address families that there are. Seen
	// is what arrived; nil if nothing did.
	Share float64
	Seen  *Seen
}

// Portions are the parts of a ServicePort, in the order of its endpoints.
func (p *ServicePort) Portions() (parts []Portion) {
	families, all := map[bool]float64{}, map[bool]uint64{}
	for _, e := range p.Endpoints {
		four := e.Address.Addr().Is4()
		families[four] = 1
		if e.Seen != nil {
			all[four] += e.Seen.Connections
		}
	}
	at, arrived := map[string]int{}, map[string]Arrivals{}
	for _, e := range p.Endpoints {
		name := cmp.Or(e.Node, e.Address.String())
		i, there := at[name]
		if !there {
			i, at[name] = len(parts), len(parts)
			parts = append(parts, Portion{Name: name, Known: e.Node != ""})
		}
		parts[i].Share += e.Share / float64(len(families))
		if e.Seen != nil {
			a := arrived[name]
			a.add(Arrivals{e.Seen.Connections, e.Seen.Asked * float64(all[e.Address.Addr().Is4()])})
			arrived[name] = a
		}
	}
	for i := range parts {
		parts[i].Seen = seen(arrived[parts[i].Name], p.Connections)
	}
	return parts
}
