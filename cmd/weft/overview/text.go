package overview

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"weft/state/status"
)

// Form says how an Overview is printed.
type Form struct {
	// Width is that of the screen: sentences go on in the next line, and tables do
	// without bars, and then without what is right of it. Height cuts the whole. 0
	// is endless.
	Width, Height int
	// Color marks what is good and what is wrong, Blocks draws bars of block
	// characters instead of ASCII.
	Color, Blocks bool
	// ServicePorts is how many are listed; 0 is all.
	ServicePorts int
	// Only lists the endpoints of ServicePorts that have the ID, the Service or
	// the protocol and nodePort, such as tcp/30000.
	Only string
}

// Print writes the Overview as text of one screen.
func (o *Overview) Print(out io.Writer, f Form) error {
	p := &printer{Form: f, now: o.Time}
	if f.Only != "" {
		p.only(o)
	} else {
		p.head(o)
		p.wrong(o)
		p.inputs(o)
		p.traffic(o.Traffic)
		p.nodes(o.Nodes)
		p.transactions(o.Transactions)
		p.servicePorts(o.ServicePorts) // last: what does not fit is of these
	}
	_, err := io.WriteString(out, p.fit())
	return err
}

type printer struct {
	Form
	now time.Time
	b   strings.Builder
	// bare leaves bars out.
	bare bool
}

// linef writes a sentence, or several lines of them.
func (p *printer) linef(format string, args ...any) {
	for line := range strings.SplitSeq(fmt.Sprintf(format, args...), "\n") {
		p.b.WriteString(wrap(line, p.Width, hanging) + "\n")
	}
}

// hanging is how far the following lines of a sentence are indented.
const hanging = 13

// The colors are those that every terminal has.
const (
	bold  = "1"
	green = "32"
	red   = "31"
	faint = "2"
)

func (p *printer) paint(color, text string) string {
	if !p.Color {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

func (p *printer) head(o *Overview) {
	node := o.Node
	if node == "" {
		node = "this machine"
	}
	switch {
	case !o.Running && o.mute:
		p.linef("%s %s", p.paint(bold, "weft on "+node+":"), p.paint(red, "cannot be asked"))
	case !o.Running:
		p.linef("%s %s", p.paint(bold, "weft on "+node+":"), p.paint(red, "not running"))
	case o.Healthy():
		p.linef("%s %s", p.paint(bold, "weft on "+node+":"), p.paint(green, "healthy"))
	default:
		p.linef("%s %s", p.paint(bold, "weft on "+node+":"), p.paint(red, "not healthy"))
	}
	for _, s := range o.Agents {
		p.linef("  %-10s %s, version %s, pid %d, up %s", "agent", s.Agent.Command, s.Agent.Version, s.Agent.PID, p.age(s.Agent.Started))
		if slices.Contains(s.Agent.Parts, status.Applier) {
			p.rules(s.Rules, s.Changes)
		}
	}
	if o.State != nil {
		p.linef("  %-10s generation %d in %s%s", "state", o.State.Generation, o.State.Path, p.written(o.State.Written))
	}
}

func (p *printer) written(t time.Time) string {
	if t.IsZero() {
		return ", which does not age"
	}
	return fmt.Sprintf(", written %s ago", p.age(t))
}

func (p *printer) rules(h status.Held, changes *status.Changes) {
	switch {
	case h.Proven > 0:
		p.linef("  %-10s generation %d since %s (%s), looked at %s ago, set %s, table %s%s", "proven", h.Proven,
			h.Since.UTC().Format(time.DateTime), p.age(h.Since), p.age(h.Checked), h.Set, h.Table, pinned(h))
	case h.Applied > 0:
		p.linef("  %-10s nothing; generation %d was loaded", "proven", h.Applied)
	default:
		p.linef("  %-10s nothing", "proven")
	}
	if c := changes; c != nil {
		p.linef("  %-10s %s of endpoints proven, each %s after its cause in the mean, the last %s", "changes", strconv.FormatUint(c.Count, 10), Milliseconds(c.MeanSeconds), Milliseconds(c.LastSeconds))
	}
	if h.Wanted != h.Proven {
		p.linef("  %-10s generation %d", "wanted", h.Wanted)
	}
	p.linef("  %-10s %s; %s", "heartbeat", p.heartbeat(h), p.repairs(h))
}

func pinned(h status.Held) string {
	if h.Pinned {
		return ", pinned"
	}
	return ""
}

func (p *printer) heartbeat(h status.Held) string {
	switch {
	case h.LetGo != "":
		return "let go"
	case h.HeartbeatSeconds == 0:
		return "none: the rules work without a live weft"
	case h.Beat.IsZero():
		return fmt.Sprintf("of %gs, not renewed yet", h.HeartbeatSeconds)
	}
	return fmt.Sprintf("of %gs, renewed %s ago", h.HeartbeatSeconds, p.age(h.Beat))
}

func (p *printer) repairs(h status.Held) string {
	switch h.Repairs {
	case 0:
		return "no repairs"
	case 1:
		return fmt.Sprintf("1 repair, %s ago: %s", p.age(h.Repaired), h.RepairedOf)
	}
	return fmt.Sprintf("%d repairs, the last %s ago: %s", h.Repairs, p.age(h.Repaired), h.RepairedOf)
}

// wrong is what is wrong now, and the last error that is over.
func (p *printer) wrong(o *Overview) {
	for _, u := range o.Unknown {
		p.linef("  %s", p.paint(red, "! "+u))
	}
	last, at := "", time.Time{}
	for _, s := range o.Agents {
		for _, r := range s.Health.Reasons {
			text := "! " + strings.ReplaceAll(strings.TrimSpace(r.Message), "\n", "\n      ")
			if !r.Since.IsZero() {
				text += fmt.Sprintf(" (for %s)", p.age(r.Since))
			}
			p.linef("  %s", p.paint(red, text))
		}
		for _, w := range s.Stages {
			if w.Error == "" && w.LastError != "" && w.Failed.After(at) {
				last, at = fmt.Sprintf("%s: %s", w.Stage, w.LastError), w.Failed
			}
		}
	}
	if last != "" {
		first, _, _ := strings.Cut(last, "\n")
		p.linef("  %-10s %s ago, and over: %s", "last error", p.age(at), first)
	}
}

// traffic is how many connections were counted, or why none are.
func (p *printer) traffic(t *status.Traffic) {
	switch {
	case t == nil:
	case t.Unknown != "":
		p.linef("  %-10s not counted: %s", "traffic", t.Unknown)
	case t.Connections == 0:
		p.linef("  %-10s no new connection in %s", "traffic", p.age(t.Since))
	default:
		p.linef("  %-10s %s in %s", "traffic", connections(t.Connections), p.age(t.Since))
	}
}

func connections(n uint64) string {
	if n == 1 {
		return "1 new connection"
	}
	return fmt.Sprintf("%d new connections", n)
}

func (p *printer) inputs(o *Overview) {
	var parts []string
	for _, s := range o.Agents {
		for _, in := range s.Inputs {
			parts = append(parts, fmt.Sprintf("%s %s", in.Name, p.age(in.Good)))
		}
	}
	if len(parts) > 0 {
		p.linef("  %-10s %s", "age of", strings.Join(parts, ", "))
	}
}
