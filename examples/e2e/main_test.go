package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"weft/examples/lab"
	"weft/examples/lab/cluster"
	"weft/examples/lab/controlplane"
	"weft/examples/lab/labtest"
)

// binaries is where weft is compiled to.
var binaries string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if binaries, err = os.MkdirTemp("", "weft-e2e-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(binaries)
		return m.Run()
	}())
}

// TestScripts runs the scripts of testdata in one cluster.
func TestScripts(t *testing.T) {
	t.Parallel()
	runScripts(t, "testdata", cluster.Options{})
}

// TestInformers runs the scripts about watching the API server, on both ways
// that a client can get its first list.
func TestInformers(t *testing.T) {
	t.Parallel()
	t.Run("watch-list", func(t *testing.T) {
		t.Parallel()
		runScripts(t, "testdata/informers", cluster.Options{}).noneDenied(t)
	})
	t.Run("list and watch", func(t *testing.T) {
		t.Parallel()
		labtest.RequireControlPlane(t)
		etcd, err := controlplane.OldEtcd()
		if err != nil {
			t.Fatal(err)
		}
		runScripts(t, "testdata/informers", cluster.Options{Etcd: etcd}).noneDenied(t)
	})
}

func runScripts(t *testing.T, dir string, opts cluster.Options) *stage {
	scripts, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts in %s: %v", dir, err)
	}
	opts.Lab = lab.Options{Nodes: 3, Pods: 2}
	s := newStage(t, opts)
	testscript.RunT(serial{t}, testscript.Params{Files: scripts, Setup: s.setUp, Cmds: s.commands(), Condition: func(cond string) (bool, error) {
		if cond != "watchlist" {
			return false, fmt.Errorf("unknown condition %q", cond)
		}
		return opts.Etcd == "", nil
	}})
	return s
}

// serial runs the scripts one after the other: they share a cluster.
type serial struct{ *testing.T }

func (s serial) Run(name string, f func(testscript.T)) {
	s.T.Run(name, func(t *testing.T) { f(serial{t}) })
}

// Parallel does nothing.
func (serial) Parallel() {}

// Verbose reports whether scripts tell all that they do.
func (serial) Verbose() bool { return testing.Verbose() }

// buildWeft compiles weft once for all tests, as it is shipped, or with the race
// detector if the tests have it.
func buildWeft(t testing.TB) string {
	t.Helper()
	path, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var compiled = sync.OnceValues(func() (string, error) {
	path := filepath.Join(binaries, "weft")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, "weft/cmd/weft")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as the Makefile says
	if raceEnabled {
		cmd = exec.Command("go", "build", "-race", "-o", path, "weft/cmd/weft")
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return path, err
})
