package ruleset

import (
	"maps"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// placedChain is a chain and the offset of its item.
type placedChain struct {
	*Chain
	at int
}

// worthACrew is from how many chains on all processors judge them.
const worthACrew = 256

// chains judges chains. What is found of one depends on no other's rules: where they
// are many, each processor judges a part of the list.
func (l *linter) chains(s *scope, family string, list []placedChain) {
	workers := runtime.GOMAXPROCS(0)
	if len(list) < worthACrew || workers < 2 {
		l.each(s, family, list)
		return
	}
	parts := make([]*linter, workers)
	scopes := make([]*scope, workers)
	var group errgroup.Group
	for i := range parts {
		own := *s // of which a judge of chains changes no more than these two
		own.events, own.looks = map[*Chain][]event{}, map[*Chain][]string{}
		parts[i], scopes[i] = &linter{text: l.text, opts: l.opts}, &own
		from, to := i*len(list)/workers, (i+1)*len(list)/workers
		group.Go(func() error {
			parts[i].each(scopes[i], family, list[from:to])
			return nil
		})
	}
	_ = group.Wait() // none of them fails
	for i := range parts {
		l.findings = append(l.findings, parts[i].findings...)
		s.take(scopes[i])
	}
}

func (l *linter) each(s *scope, family string, list []placedChain) {
	for _, c := range list {
		l.chain(s, family, c.Chain, c.at)
	}
}

// take takes in what another scope of the same table knows of chains.
func (s *scope) take(other *scope) {
	maps.Copy(s.events, other.events)
	maps.Copy(s.looks, other.looks)
}
