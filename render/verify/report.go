package verify

import (
	"fmt"
	"net/netip"

	"weft/state"
)

// Report is what a check found. The rules are proven only if Differs and
// Unknown are both empty.
type Report struct {
	// Proven counts the ServicePorts for which the rules do what the state says;
	// a skipped one is proven by having no rules.
	Proven int
	// Differs are sorted as the state lists ServicePorts; those about no
	// ServicePort come last.
	Differs []Difference
	// Unknown is what cannot be told, in the same order.
	Unknown []Doubt
}

// OK reports whether everything is proven.
func (r *Report) OK() bool { return len(r.Differs) == 0 && len(r.Unknown) == 0 }

// Subject is what a finding is about.
type Subject struct {
	// ServicePort is namespace/name:port, or empty where the finding is about none.
	ServicePort string
	Protocol    state.Protocol
	// NodePort is 0 where the finding is about none, or about several.
	NodePort uint16
	// Address is where the packet was sent to.
	Address netip.Addr
	Hook    Hook
	// Conditions are those of the packets that the finding is about.
	Conditions []string
	// Table, Chain and Handle are the last rule on the way, where there is one.
	Table  TableID
	Chain  string
	Handle uint64
}

// Difference is a part of the kernel's rules that is not what the state says.
type Difference struct {
	Subject
	// What says in a few words what is wrong.
	What string
	// Wanted and Found are distributions in words; empty where there are none.
	Wanted, Found string
}

// Doubt is something that cannot be told.
type Doubt struct {
	Subject
	// Reason names the expression or attribute that is not understood.
	Reason string
}

// String is the finding's subject in one line.
func (s Subject) String() string { return s.in(s.place()) }

// place is where packets are sent to, and where they are on their way.
func (s Subject) place() string {
	if s.Address.IsValid() {
		return fmt.Sprintf("at %s, %s", s.Address, s.Hook)
	}
	return ""
}

func (s Subject) in(place string) string {
	text := ""
	if s.ServicePort != "" {
		text = s.ServicePort + " "
	}
	if s.NodePort != 0 {
		text += fmt.Sprintf("%s/%d ", s.Protocol, s.NodePort)
	}
	text += place
	for _, c := range s.Conditions {
		text += ", " + c
	}
	if s.Chain != "" {
		text += fmt.Sprintf(" (%s, chain %s", s.Table, s.Chain)
		if s.Handle != 0 {
			text += fmt.Sprintf(", rule %d", s.Handle)
		}
		text += ")"
	}
	return text
}

// String is the difference in one line.
func (d Difference) String() string { return d.Subject.String() + ": " + d.text() }

func (d Difference) text() string {
	text := d.What
	if d.Wanted != "" {
		text += "; wanted " + d.Wanted
	}
	if d.Found != "" {
		text += "; found " + d.Found
	}
	return text
}

// String is the doubt in one line.
func (d Doubt) String() string { return d.Subject.String() + ": " + d.text() }

func (d Doubt) text() string { return "cannot tell: " + d.Reason }
