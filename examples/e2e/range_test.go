package e2e

import (
	"fmt"
	"os"
	"regexp"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"weft/state"
)

// wholeRange is how many NodePorts there can be: 30000 to 32767.
const wholeRange = 2768

// TestWholeRange starts weft in a cluster that has used up its NodePorts, changes
// one Service, restarts the API server, and deletes all Services.
func TestWholeRange(t *testing.T) {
	t.Parallel()
	r := newRace(t, wholeRange)
	r.startWeft("--policy=static") // no measurement changes a share
	r.proven(time.Time{})
	st := r.state()
	steered := 0
	for _, p := range st.ServicePorts {
		if p.Steered() && len(p.Endpoints) == 10 {
			steered++
		}
	}
	if steered != wholeRange || st.Generation != 1 {
		t.Errorf("the first write was generation %d and steers %d of %d", st.Generation, steered, wholeRange)
	}
	r.eventuallyHas(wholeRange)

	before := st
	if _, err := r.change(1234); err != nil {
		t.Fatal(err)
	}
	r.until("a state with the new endpoint", func() bool { return r.state().Generation > before.Generation })
	after, changed := r.state(), 0
	for i, p := range after.ServicePorts {
		if fmt.Sprint(p.Endpoints) != fmt.Sprint(before.ServicePorts[i].Endpoints) {
			changed++
		}
	}
	if changed != 1 {
		t.Errorf("%d ServicePorts changed with one slice, want 1", changed)
	}

	r.StopAPIServer()
	if err := r.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.deleteAll()
	r.until("a state without Services", func() bool { return len(r.state().ServicePorts) == 0 })
	r.eventuallyHas(0)
}

// deleteAll deletes Services one by one, since the API server has no other way.
func (r *race) deleteAll() {
	r.b.Helper()
	g, ctx := errgroup.WithContext(r.b.Context())
	g.SetLimit(8)
	for i := range r.services {
		g.Go(func() error {
			return r.client.CoreV1().Services("default").Delete(ctx, name(i), metav1.DeleteOptions{})
		})
	}
	if err := g.Wait(); err != nil {
		r.b.Fatal(err)
	}
}

// state is what weft wrote, through the mount namespace that it has.
func (r *race) state() *state.State {
	r.b.Helper()
	st, err := readState(fmt.Sprintf("/proc/%d/root%s/run/state.yaml", r.weft.Pid, r.Dir))
	if err != nil {
		r.b.Fatalf("%v. %s", err, r.weft.LastWords())
	}
	return st
}

func (r *race) until(what string, holds func() bool) {
	r.b.Helper()
	for deadline := time.Now().Add(2 * patience); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.b.Fatalf("not there: %s. %s", what, r.weft.LastWords())
		}
	}
}

// eventuallyHas waits for the kernel to have so many NodePorts in weft's map.
func (r *race) eventuallyHas(n int) {
	r.b.Helper()
	r.until(fmt.Sprintf("%d NodePorts in the kernel", n), func() bool {
		out, err := r.Node().Run("nft", "list", "map", "ip", "weft", "service-nodeports")
		if err != nil && n > 0 {
			return false
		}
		return len(elements.FindAll(out, -1)) == n
	})
	if text, err := os.ReadFile(r.weft.Log); err != nil || regexp.MustCompile("level=ERROR").Match(text) {
		r.b.Errorf("errors: %v. %s", err, r.weft.LastWords())
	}
}

var elements = regexp.MustCompile(`tcp \. 3\d{4} `)
