package render

import (
	"runtime"
	"sync/atomic"
	"text/template"

	"golang.org/x/sync/errgroup"
)

// worthACrew is for how many entries several processors are put to work. An entry
// takes about 40 µs, and to make a crew about 200.
const worthACrew = 64

// task is an entry to be made.
type task struct {
	p     *ServicePort
	entry kept
}

// ahead executes a range's body for those ServicePorts of a list, from one on, of
// which no entry is kept, on all processors at once, and keeps what comes out.
//
// Entries have nothing to do with one another, unless templates ask for more than
// their own ServicePort. Then, and for entries that fail, what was made is thrown
// away: whoever asked for it makes it again, one after the other.
func (l *loom) ahead(id int, list []*ServicePort, from int, like kept, binding []any) {
	tasks := l.missing(id, list, from, like)
	if len(tasks) < worthACrew || runtime.GOMAXPROCS(0) < 2 {
		return
	}
	var apart atomic.Uint32
	l.apart = &apart
	defer func() { l.apart = nil }()
	var group errgroup.Group
	var next atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error { return l.work(id, tasks, &next, binding) })
	}
	if group.Wait() != nil || apart.Load() != 0 {
		return
	}
	for _, t := range tasks {
		if t.entry.err == nil {
			t.p.keep(t.entry)
			l.executed++
		}
	}
}

// missing are the entries that are not kept.
func (l *loom) missing(id int, list []*ServicePort, from int, like kept) []task {
	var tasks []task
	for i := from; i < len(list); i++ {
		p := list[i]
		if l.set.sites[id].indexed {
			like.index = i
		}
		if k := p.find(id, like.key, like.index); !l.isRight(k) {
			tasks = append(tasks, task{p, like})
		}
	}
	return tasks
}

// together is how many tasks a member of a crew takes at a time.
const together = 16

// work is what one member of the crew does.
func (l *loom) work(id int, tasks []task, next *atomic.Int64, outside []any) error {
	member := &loom{set: l.set, vars: l.vars, run: l.run, ctx: l.ctx, depth: l.depth}
	plain, err := member.bound(l.set.main, member.plainInclude)
	if err != nil {
		return err
	}
	member.plain = plain
	body := plain.Lookup(l.set.sites[id].name)
	binding := append([]any(nil), outside...)
	for {
		from := int(next.Add(together)) - together
		if from >= len(tasks) {
			return nil
		}
		for i := from; i < min(from+together, len(tasks)); i++ {
			member.task(&tasks[i], body, binding)
		}
	}
}

func (l *loom) task(t *task, body *template.Template, binding []any) {
	binding[0] = t.entry.index
	t.entry = l.entry(t.entry, func(out *limited) error {
		l.binding = binding
		return body.Execute(out, t.p)
	})
}
