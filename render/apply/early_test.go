package apply_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weft/render"
	"weft/render/apply"
	"weft/state"
)

// TestReadBehindLargeTransactions replaces the rules of many ServicePorts at once, whose
// maps the kernel takes out in the course of the commit, while others change tables of
// their own: what is read before nft is at its end must be all that there is.
func TestReadBehindLargeTransactions(t *testing.T) {
	for _, set := range []string{"cascade", "simplified"} {
		t.Run(set, func(t *testing.T) {
			st := crowd(700)
			write := func(path string) {
				t.Helper()
				text, err := state.Encode(st)
				if err == nil {
					err = os.WriteFile(path, text, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			r := start(t, nil, func(l *apply.Loop) {
				write(l.StateFile)
				l.Templates = func() (*render.Set, render.Vars, error) {
					loaded, err := render.Load(set)
					return loaded, render.DefaultVars(), err
				}
			})
			r.next()
			for i := range 6 {
				next := *st
				next.Generation++
				next.ServicePorts = make([]*state.ServicePort, len(st.ServicePorts))
				for j, p := range st.ServicePorts {
					changed := *p
					changed.Endpoints = append([]state.Endpoint(nil), p.Endpoints...)
					changed.Endpoints[0].Share, changed.Endpoints[1].Share = changed.Endpoints[1].Share, changed.Endpoints[0].Share
					next.ServicePorts[j] = &changed
				}
				st = &next
				write(filepath.Join(r.dir, "state.yaml"))
				r.changes <- apply.StateChanged
				if i%2 == 1 {
					if err := r.ns.Load(fmt.Sprintf("add table ip stranger%d\n", i)); err != nil {
						t.Fatal(err)
					}
				}
				select {
				case e := <-r.proven:
					if e.Generation != st.Generation {
						t.Fatalf("generation %d is proven, want %d", e.Generation, st.Generation)
					}
				case <-time.After(time.Minute):
					t.Fatal("not proven")
				}
			}
			if log := r.log.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "level=WARN") {
				t.Error("a proof failed on the way")
			}
		})
	}
}
