package verify

import (
	"runtime"

	"golang.org/x/sync/errgroup"

	"weft/state"
)

// worthIt is how many ServicePorts a goroutine should have to ask about.
const worthIt = 128

// servicePorts asks about each ServicePort of the list, and gives what the walks of
// each met. Where they are many, all processors ask at once; the report is the same.
func (c *checker) servicePorts(list []*state.ServicePort) [][]mark {
	met := make([][]mark, len(list))
	workers := min(runtime.GOMAXPROCS(0), (len(list)+worthIt-1)/worthIt)
	if workers <= 1 {
		c.some(list, met)
		return met
	}
	c.prepare()
	parts := make([]*checker, workers)
	var group errgroup.Group
	for i := range parts {
		part := &checker{rs: c.rs, st: c.st, want: c.want, report: &Report{}, local: c.local}
		parts[i] = part
		from, to := i*len(list)/workers, (i+1)*len(list)/workers
		group.Go(func() error {
			part.some(list[from:to], met[from:to])
			return nil
		})
	}
	_ = group.Wait() // none of them fails
	for _, part := range parts {
		c.report.Proven += part.report.Proven
		c.report.Differs = append(c.report.Differs, part.report.Differs...)
		c.report.Unknown = append(c.report.Unknown, part.report.Unknown...)
	}
	return met
}

func (c *checker) some(list []*state.ServicePort, met [][]mark) {
	for i, sp := range list {
		c.servicePort(sp)
		met[i] = compact(c.walker.takeMet())
	}
}

// prepare makes what is else made when first needed, so that several may read it.
func (c *checker) prepare() {
	for _, t := range c.rs.tables {
		for _, s := range t.sets {
			s.prepare()
		}
	}
	for _, v6 := range []bool{false, true} {
		for _, hook := range []Hook{Prerouting, Input, Forward, Output, Postrouting} {
			c.rs.bases(hook, v6)
		}
		if c.want.Masquerade == MasqueradeRemote {
			c.localEndpoints(v6)
		}
	}
}
