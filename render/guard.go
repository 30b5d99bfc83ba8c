package render

import (
	"fmt"
	"net/netip"

	"weft/state"
)

// The guards refuse what templates print as it is and nft could take for syntax:
// protocols, and the zones of addresses, which hold any text. No state that
// passed [state.Validate] has such; but that no value becomes syntax must not
// depend on who called it.

func guardAddresses(list []netip.Addr) error {
	for _, a := range list {
		if !plain(a) {
			return fmt.Errorf("render address %q: expected an address without a zone", a)
		}
	}
	return nil
}

func guardServicePort(p *state.ServicePort) error {
	if p.Protocol != state.TCP && p.Protocol != state.UDP && p.Protocol != state.SCTP {
		return fmt.Errorf("render ServicePort %s: got protocol %q, expected tcp, udp or sctp", p.ID(), p.Protocol)
	}
	for i := range p.Endpoints {
		if a := p.Endpoints[i].Address; !plain(a) {
			return fmt.Errorf("render ServicePort %s: got endpoint %q, expected an address without a zone", p.ID(), a)
		}
	}
	return nil
}

func plain(a netip.Addr) bool { return a.IsValid() && a.Zone() == "" && !a.Is4In6() }
