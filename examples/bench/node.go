package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"weft/examples/lab"
	"weft/examples/lab/cgroup"
)

// Sizes of nodes, in CPUs of this machine. They are small, so that all of them and
// what drives them fit into two, and the machine itself is never what is waited for.
const unit = 0.035

func sizes() []float64 { return []float64{4 * unit, 3 * unit, 3 * unit, 2 * unit} }

// quotaPeriod is short, so that a node is slow rather than fast for a while and then
// stopped; it leaves the smallest node, slowed down, the 1 ms that a kernel asks for.
const quotaPeriod = 30 * time.Millisecond

const (
	nodePort    = 30000
	backendPort = 8080
)

// node is a machine with a pod. Whoever drives the timeline changes it; the meter
// runs beside.
type node struct {
	*lab.Node
	size  float64 // CPUs when nothing is wrong
	dir   string
	log   io.Writer // what its processes say
	group *cgroup.Group
	weft  string // to run, or empty

	backend, neighbour, agent *process

	mu    sync.Mutex // guards what follows
	cpus  float64    // now
	meter *meter     // nil without weft
}

// limit changes the speed of the node.
func (n *node) limit(cpus float64) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	err := n.step(time.Now())
	n.cpus = cpus
	return errors.Join(err, n.group.Limit(cpus, quotaPeriod))
}

// tick brings the node's /proc/stat up to date.
func (n *node) tick(now time.Time) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.step(now)
}

func (n *node) step(now time.Time) error {
	if n.meter == nil {
		return nil
	}
	return n.meter.step(now, n.cpus)
}

// serve starts the pod's process.
func (n *node) serve() error {
	pod := n.Pods[0]
	addr := netip.AddrPortFrom(pod.IPv4, backendPort).String()
	p, err := start(pod.Namespace, n.log, n.log, roleBackend, addr, n.Host.Host)
	if err != nil {
		return err
	}
	n.backend = p
	return n.group.Add(p.cmd.Process.Pid)
}

// disturbed starts or ends what else takes CPU time on the node.
func (n *node) disturbed(on bool, seed uint64) error {
	if !on {
		n.end(&n.neighbour)
		return nil
	}
	p, err := start(n.Namespace, n.log, n.log, roleNeighbour, strconv.FormatFloat(n.size, 'g', -1, 64), strconv.FormatUint(seed, 10))
	if err != nil {
		return err
	}
	n.neighbour = p
	return n.group.Add(p.cmd.Process.Pid)
}

func (n *node) end(p **process) {
	if *p != nil {
		(*p).kill()
		*p = nil
	}
}

// die is what the end of power is for the node's processes; the cable is the lab's.
func (n *node) die() {
	n.end(&n.agent)
	n.end(&n.backend)
	n.end(&n.neighbour)
}

// boot starts the processes, with nothing left of what was under /run.
func (n *node) boot() error {
	if err := n.serve(); err != nil {
		return err
	}
	if n.weft == "" {
		return nil
	}
	for _, left := range []string{"state.yaml", "history", "weft.sock"} {
		if err := os.RemoveAll(filepath.Join(n.dir, left)); err != nil {
			return err
		}
	}
	var err error
	n.agent, err = start(n.Namespace, n.log, n.log, roleInside, n.stat(), n.weft, "run", "--config", filepath.Join(n.dir, "weft.yaml"))
	return err
}

func (n *node) stat() string  { return filepath.Join(n.dir, "stat") }
func (n *node) state() string { return filepath.Join(n.dir, "state.yaml") }

// close ends and deletes what the node consists of, but for its namespaces.
func (n *node) close() error {
	n.die()
	var errs []error
	if n.meter != nil {
		errs = append(errs, n.meter.close())
	}
	if n.group != nil {
		errs = append(errs, n.group.Close())
	}
	return errors.Join(errs...)
}

// ended tells of a process that should run and does not.
func (n *node) ended() error {
	for what, p := range map[string]*process{"backend": n.backend, "weft": n.agent} {
		if p == nil {
			continue
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s of %s ended: %w; see its log", what, n.Host.Host, p.err)
		default:
		}
	}
	return nil
}
