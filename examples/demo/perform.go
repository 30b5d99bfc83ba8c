package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"weft/examples/lab"
)

// connections is how many each split is measured with.
const connections = 2000

// The weights in the first and in the second half of the demo.
func firstWeights() map[string]int {
	return map[string]int{"node1-a": 10, "node2-a": 50, "node2-b": 25, "node3-a": 15}
}

func secondWeights() map[string]int {
	return map[string]int{"node1-a": 30, "node2-a": 10, "node2-b": 5, "node3-a": 55}
}

// play is a demo that is under way.
type play struct {
	out    io.Writer
	weft   string // absolute
	lab    *lab.Lab
	config config
	agent  *agent
}

// perform shows everything, and takes everything down at the end.
func perform(ctx context.Context, o options, out io.Writer) (err error) {
	weft, err := filepath.Abs(o.weft)
	if err != nil {
		return err
	}
	if _, err := os.Stat(weft); err != nil {
		return fmt.Errorf("no weft to run (make build makes it): %w", err)
	}
	began := time.Now()
	lock, err := claim(folder, out)
	if err != nil {
		return err
	}
	defer lock.Close()
	p := &play{out: out, weft: weft}
	defer func() {
		err = errors.Join(err, p.close())
		switch {
		case errors.Is(err, errInterrupted):
			fmt.Fprintln(out, "\nInterrupted. Everything is taken down.")
		case err == nil:
			p.say("\nDone in %.0f seconds. No namespaces, processes or files are left.", time.Since(began).Seconds())
		}
	}()
	if err := p.acts(ctx); err != nil {
		return whole(ctx, err)
	}
	if !o.keep {
		return nil
	}
	if err := p.restart(ctx); err != nil {
		return whole(ctx, err)
	}
	p.explain()
	return stay(ctx)
}

// whole is errInterrupted for whatever an interruption made fail.
func whole(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

func (p *play) acts(ctx context.Context) error {
	acts := []func(context.Context) error{p.build, p.steer, p.split, p.change, p.crash}
	for _, act := range acts {
		if err := act(ctx); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return errInterrupted
		}
	}
	return nil
}

// close takes everything down.
func (p *play) close() error {
	if p.agent != nil {
		p.agent.stop()
	}
	var err error
	if p.lab != nil {
		err = p.lab.Close()
	}
	return errors.Join(err, os.RemoveAll(folder))
}

// say writes a line. Output that nobody reads any more ends the demo through
// SIGPIPE, which its context waits for.
func (p *play) say(format string, args ...any) { fmt.Fprintf(p.out, format+"\n", args...) }

// service is where the client connects to.
func (p *play) service() netip.AddrPort {
	return netip.AddrPortFrom(p.config.Address, p.config.NodePort)
}

// build is the first act: the network.
func (p *play) build(context.Context) error {
	began := time.Now()
	var err error
	if p.lab, err = lab.Build(lab.Options{Prefix: stage, Nodes: 3, Pods: 2}); err != nil {
		return err
	}
	if err := p.lab.ServePods(backendPort); err != nil {
		return err
	}
	p.config = newConfig(folder, p.lab, firstWeights())
	if err := lab.Behind(p.lab.Node().Namespace, []netip.Addr{p.config.Address}, nodePort, p.config.backends()); err != nil {
		return err
	}
	p.say("1. A small cluster out of network namespaces, made in %s", millis(time.Since(began)))
	p.say("")
	p.network()
	p.say("")
	p.say("   Packets are real, this machine's own network and rules are not touched. Behind weft, in the")
	p.say("   place of kube-proxy, is a plain nat table that gives every endpoint an equal share.")
	return nil
}

// network draws the cluster.
func (p *play) network() {
	p.say("   client  10.34.4.100 ──┐")
	for i, n := range p.lab.Nodes {
		var pods []string
		for _, e := range p.config.Endpoints {
			if e.Node == n.Host.Host {
				pods = append(pods, e.Name+" "+e.Address.String())
			}
		}
		corner, note := "┤", ""
		if i == 0 {
			note = "   <- NodePort 30000, weft runs here"
		}
		if i == len(p.lab.Nodes)-1 {
			corner = "┘"
		}
		p.say("   %-7s %-11s ──%s  pods: %s%s", n.Host.Host, n.IPv4, corner, strings.Join(pods, ", "), note)
	}
}

// steer is the second act: weft starts and loads its rules.
func (p *play) steer(ctx context.Context) error {
	if _, err := p.config.save(); err != nil {
		return err
	}
	took, err := p.start(ctx)
	if err != nil {
		return err
	}
	rules, err := p.rules()
	if err != nil {
		return err
	}
	p.say("\n2. weft run --config %s", p.config.path())
	p.say("   Its rules were in the kernel after %s. nft list table ip weft:\n", millis(took))
	p.say("%s", indent(rules))
	return nil
}

// start starts weft and waits until the kernel has a rule for each endpoint.
func (p *play) start(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	var err error
	if p.agent, err = startAgent(p.lab.Node().Namespace, p.weft, p.config); err != nil {
		return 0, err
	}
	err = p.agent.await(ctx, "the first ruleset", func() bool {
		rules, err := p.rules()
		return err == nil && p.complete(rules)
	})
	return time.Since(began), err
}

// rules are weft's, as nft lists them. Without any it is an error.
func (p *play) rules() (string, error) {
	out, err := p.lab.Node().Run("nft", "list", "table", "ip", "weft")
	return string(out), err
}

// complete looks for every endpoint, and for the node's address, which a weft
// that died has let go of.
func (p *play) complete(rules string) bool {
	for _, e := range p.config.Endpoints {
		if !strings.Contains(rules, e.Address.String()) {
			return false
		}
	}
	return strings.Contains(rules, p.config.Address.String())
}

// split is the third act: does the split follow the weights?
func (p *play) split(ctx context.Context) error {
	p.say("3. %s connections from the client to %v", thousands(connections), p.service())
	return p.measure(ctx, p.config.shares())
}

// measure opens connections and shows who answered. Counts that chance does not
// explain, and failures, are errors.
func (p *play) measure(ctx context.Context, asked map[string]float64) error {
	began := time.Now()
	got, err := lab.Count(ctx, p.lab.Client, "tcp", p.service(), connections, 8)
	if ctx.Err() != nil {
		return errInterrupted
	}
	if err != nil {
		return err
	}
	p.say("\n%s", table(p.config.Endpoints, asked, got))
	p.say("   None failed; %.1f seconds.", time.Since(began).Seconds())
	return explained(asked, got)
}

// change is the fourth act: other weights, while weft runs.
func (p *play) change(ctx context.Context) error {
	node := p.lab.Node().Namespace
	m, err := watchRules(ctx, node, p.config.Address.String())
	if err != nil {
		return err
	}
	defer m.stop()
	p.config = newConfig(folder, p.lab, secondWeights())
	saved, err := p.config.save()
	if err != nil {
		return err
	}
	changed, err := m.next(ctx)
	if err != nil {
		return fmt.Errorf("%w. weft's last words:\n%s", err, p.agent.lastWords())
	}
	p.say("\n4. node2 gets slow: its weights go down in %s, the others' up", p.config.path())
	p.say("   From the save to the new rules in the kernel: %s. The next %s connections:", millis(changed.Sub(saved)), thousands(connections))
	return p.measure(ctx, p.config.shares())
}

// restart brings weft back for a demo that stays up.
func (p *play) restart(ctx context.Context) error {
	took, err := p.start(ctx)
	if err == nil {
		p.say("\n6. weft is started again, and steers after %s. All this stays up for you to play with.", millis(took))
	}
	return err
}

// explain tells how to play with a demo that stays up.
func (p *play) explain() {
	p.say(`
   Change the weights:
     ${EDITOR:-vi} %[1]s
   Who answers now?
     bin/demo -ask 2000
     ip netns exec %[2]s curl -s http://%[3]v
   Look at the rules, and see them change:
     ip netns exec %[4]s nft list table ip weft
     ip netns exec %[4]s nft monitor
   What does weft say about it?
     tail -f %[5]s
   Take it all down:
     make demo-down`,
		p.config.path(), p.lab.Client.Name, p.service(), p.lab.Node().Name, p.agent.log)
}
