package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"weft/examples/lab"
	"weft/render"
	"weft/state"
)

// bench is a run of all measurements.
type bench struct {
	options
	folder string
	log    io.Writer
	rows   []row
}

// largestInline is up to where simplified is measured: beyond, bare nft alone takes
// minutes to load it.
const largestInline = 2768

// inMemory is a folder as /run is, where weft has its files.
const inMemory = "/dev/shm"

func measure(ctx context.Context, o options, stdout, stderr io.Writer) error {
	folder, err := os.MkdirTemp(inMemory, "scale")
	if errors.Is(err, fs.ErrNotExist) {
		folder, err = os.MkdirTemp("", "scale")
	}
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if o.weft, err = filepath.Abs(o.weft); err != nil {
		return err
	}
	b := &bench{options: o, folder: folder, log: stderr}
	for _, set := range o.sets {
		for _, n := range o.sizes {
			if set == "simplified" && n > largestInline {
				continue
			}
			fmt.Fprintf(stderr, "%s, %d ServicePorts\n", set, n)
			if err := b.size(ctx, set, n); err != nil {
				return fmt.Errorf("%s, %d ServicePorts: %w", set, n, err)
			}
		}
	}
	return b.publish(stdout)
}

func (b *bench) size(ctx context.Context, set string, n int) (err error) {
	p := &place{bench: b, set: set, size: n, st: crowd(n), vars: render.DefaultVars()}
	if p.folder, err = os.MkdirTemp(b.folder, "place"); err != nil {
		return err
	}
	p.vars["heartbeat"] = 0
	loaded, err := render.Load(set)
	if err != nil {
		return err
	}
	p.renderer = render.NewRenderer(loaded)
	defer func() { err = errors.Join(err, p.close()) }()
	for _, ns := range []**lab.Namespace{&p.ours, &p.bare, &p.empty} {
		if *ns, err = routed(); err != nil {
			return err
		}
	}
	for _, step := range []func(context.Context) error{p.cold, p.start, p.changed, p.idles, p.others, p.connections} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// cold is the way from a state file to proven rules, by `weft apply`.
func (p *place) cold(ctx context.Context) error {
	text, err := p.text(ctx, p.st)
	if err != nil {
		return err
	}
	proxy := proxyShape(p.st)
	var encoder state.Encoder
	file := filepath.Join(p.folder, "cold.yaml")
	yaml, err := encoder.Encode(p.st)
	if err == nil {
		err = os.WriteFile(file, yaml, 0o600)
	}
	if err != nil {
		return err
	}
	var cold, other pairs
	var memory, proxyMemory, weftMemory []float64
	for range p.rounds {
		if err := errors.Join(ctx.Err(), p.flush(p.bare, p.ours)); err != nil {
			return err
		}
		bare, err := p.nft(p.bare, text)
		if err != nil {
			return err
		}
		weft, err := program(p.ours, p.weft, "apply", "--state", file, "--templates", p.set, "--history", "",
			"--lock", filepath.Join(p.folder, "lock"), "--socket", "")
		if err != nil {
			return err
		}
		if err := p.flush(p.bare); err != nil {
			return err
		}
		shape, err := p.nft(p.bare, proxy)
		if err != nil {
			return err
		}
		cold.add(weft.time, bare.time)
		other.add(bare.time, shape.time)
		memory, proxyMemory, weftMemory = append(memory, bare.memory), append(proxyMemory, shape.memory), append(weftMemory, weft.memory)
	}
	p.took(coldStart, "bare nft -f of the same text", cold)
	p.took(fullText, "nft -f of kube-proxy's shape", other)
	p.bytes("nft's memory for the full text", "for kube-proxy's shape", memory, proxyMemory)
	p.bytes("memory of weft apply, at most", "nft's for the full text", weftMemory, memory)
	return p.flush(p.bare, p.ours)
}

// start makes both namespaces ready for changes.
func (p *place) start(ctx context.Context) error {
	text, err := p.text(ctx, p.st)
	if err != nil {
		return err
	}
	for _, ns := range []*lab.Namespace{p.bare, p.ours} {
		if err := ns.Load(dropping); err != nil {
			return err
		}
	}
	if _, err := p.nft(p.bare, text); err != nil {
		return err
	}
	p.agent, err = startAgent(ctx, p.weft, p.folder, p.set, p.ours, p.st)
	return err
}

// changed makes each change, by the agent and by hand.
func (p *place) changed(ctx context.Context) error {
	for _, c := range changes {
		if c.adds && p.size == 1 { // the first TCP beside one of UDP: by hand, that is another table
			continue
		}
		var took, cpu pairs
		for round := range p.rounds {
			if c.name == "one ServicePort removed" && round > 0 && len(p.st.ServicePorts) == p.size {
				break
			}
			ours, hand, err := p.once(ctx, c, round)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			took.add(ours.time, hand.time)
			cpu.add(ours.cpu, hand.cpu)
		}
		against := "smallest transaction by hand"
		if c.full {
			against = "bare nft -f of the full text"
		}
		p.took(c.name+", proof included", against, took)
		p.took(c.name+": weft's own CPU", "nft's, "+against, cpu)
	}
	return nil
}

// once makes a change once. Ours is without the nft that weft runs.
func (p *place) once(ctx context.Context, c change, round int) (ours, hand cost, err error) {
	before, err := p.text(ctx, p.st)
	if err != nil {
		return ours, hand, err
	}
	after, what := c.to(p.st, round)
	text, err := p.text(ctx, after)
	if err != nil {
		return ours, hand, err
	}
	transaction := "table ip weft {\n}\ndelete table ip weft\n" + text
	if !c.full {
		if transaction, err = byHand(before, text, what); err != nil {
			return ours, hand, err
		}
	}
	if hand, err = p.nft(p.bare, transaction); err != nil {
		return ours, hand, err
	}
	time.Sleep(settleTime)
	busy, err := p.agent.cpu()
	if err != nil {
		return ours, hand, err
	}
	text2, err := p.agent.encoder.Encode(after)
	if err != nil {
		return ours, hand, err
	}
	if err := os.WriteFile(p.agent.file+".new", text2, 0o600); err != nil {
		return ours, hand, err
	}
	start := time.Now()
	if err := os.Rename(p.agent.file+".new", p.agent.file); err != nil {
		return ours, hand, err
	}
	proven, err := p.agent.wait(ctx, after.Generation)
	if err != nil {
		return ours, hand, err
	}
	time.Sleep(settleTime)
	later, err := p.agent.cpu()
	p.st = after
	return cost{time: proven.Sub(start), cpu: later - busy}, hand, err
}

// restTime is when an agent has tidied up behind the last change.
const restTime = 3 * time.Second

// idles is what the agent costs while nothing changes, with the heartbeat.
func (p *place) idles(ctx context.Context) error {
	var rewritten []float64
	for range p.rounds {
		before, err := p.agent.cpu()
		if err != nil {
			return err
		}
		same := *p.st
		same.Written = time.Now()
		if err := p.agent.write(&same); err != nil {
			return err
		}
		time.Sleep(settleTime)
		after, err := p.agent.cpu()
		if err != nil {
			return err
		}
		rewritten = append(rewritten, (after - before).Seconds())
	}
	p.seconds("file rewritten, nothing changed: weft's CPU", rewritten)
	time.Sleep(restTime)
	before, err := p.agent.cpu()
	if err != nil {
		return err
	}
	select {
	case <-time.After(p.idle):
	case <-ctx.Done():
		return ctx.Err()
	}
	after, err := p.agent.cpu()
	if err != nil {
		return err
	}
	p.add(row{what: "idle, with heartbeat", cost: (after - before).Seconds() / p.idle.Seconds() * 100, unit: "% of a core"})
	resident, err := p.agent.resident()
	p.bytes("resident memory of the agent", "", []float64{resident}, nil)
	return err
}

// others is what a transaction of one element costs somebody else.
func (p *place) others(ctx context.Context) error {
	var took pairs
	spaces := [...]*lab.Namespace{p.ours, p.empty}
	for _, ns := range spaces {
		if err := ns.Load("table ip other {\n\tset s {\n\t\ttype inet_service\n\t}\n}\n"); err != nil {
			return err
		}
	}
	for i := range 10 * p.rounds { // a kernel that waits for its clock takes whole ticks
		if err := ctx.Err(); err != nil {
			return err
		}
		const text = "add element ip other s { 1 }\ndelete element ip other s { 1 }\n"
		var costs [2]cost
		for j := range costs {
			which := (i + j) % 2 // each is first as often
			var err error
			if costs[which], err = p.nft(spaces[which], text); err != nil {
				return err
			}
		}
		took.add(costs[0].time, costs[1].time)
	}
	p.took(othersElement, "without weft", took)
	return nil
}

// connections is what the first packet of a connection costs in the kernel.
func (p *place) connections(ctx context.Context) error {
	shapes := []struct{ name, text string }{
		{"no rule", noRule}, {"one plain dnat rule", plainRule}, {"kube-proxy's shape", proxyShape(p.st)}, {p.set, ""},
	}
	places := make([]*lab.Namespace, len(shapes))
	for i, s := range shapes {
		if places[i] = p.bare; s.text == "" {
			continue
		}
		ns, err := routed()
		if err != nil {
			return err
		}
		defer ns.Close()
		if err := ns.Load(s.text); err != nil {
			return err
		}
		places[i] = ns
	}
	costs := make([][]float64, len(shapes))
	for range p.rounds {
		for i, ns := range places {
			each, err := firstPackets(ctx, ns, 30000, p.send)
			if err != nil {
				return err
			}
			costs[i] = append(costs[i], each.Seconds())
		}
	}
	own := make([]float64, len(shapes))
	for i := range shapes {
		own[i] = max(0, slices.Min(costs[i])-slices.Min(costs[0]))
	}
	p.add(row{what: "first packets of connections a second, from one core", cost: 1 / slices.Min(costs[3]), against: "through one plain dnat rule", yardstick: 1 / slices.Min(costs[1]), unit: "/s"})
	p.add(row{what: "rules for the first packet", cost: own[3], against: "one plain dnat rule", yardstick: own[1], unit: "s"})
	p.add(row{what: "rules for the first packet", cost: own[3], against: "kube-proxy's shape", yardstick: own[2], unit: "s"})
	return nil
}
