package apply_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/render"
	"weft/render/apply"
	"weft/render/nft"
	"weft/state"
)

// wrapped is an nft that a shell script stands before.
func wrapped(t *testing.T, script string) nft.Runner {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nft")
	text := "#!/bin/sh\nPATH=$PATH:/usr/sbin:/sbin:/usr/bin:/bin\n" + script + "\n"
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return nft.Runner{Path: path}
}

// calls counts the runs of nft -f, and ends the failing one.
func calls(file string, failing int) string {
	return fmt.Sprintf(`case "$*" in -f*) echo >> %[1]s; [ "$(wc -l < %[1]s)" = %[2]d ] && { echo 'Error: told to fail' >&2; exit 1; };; esac
exec nft "$@"`, file, failing)
}

func desiredOf(t testing.TB, set string, st *state.State) *apply.Desired {
	t.Helper()
	loaded, err := render.Load(set)
	if err != nil {
		t.Fatal(err)
	}
	vars := render.DefaultVars()
	vars["heartbeat"] = 0
	d, err := apply.Desire(t.Context(), loaded, st, vars)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func loadIn(t *testing.T, ns *lab.Namespace, d *apply.Desired, runner nft.Runner) error {
	t.Helper()
	var err error
	if doErr := ns.Do(func() error { err = d.Load(t.Context(), runner); return nil }); doErr != nil {
		t.Fatal(doErr)
	}
	return err
}

func listed(t *testing.T, ns *lab.Namespace) string {
	t.Helper()
	out, err := ns.Run("nft", "-s", "list", "ruleset")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestPiecesThatDoNotFit: rules for which nft has too little memory are loaded in
// pieces, on an empty kernel and over others, and proven.
func TestPiecesThatDoNotFit(t *testing.T) {
	ns := labtest.Scratch(t)
	runs := filepath.Join(t.TempDir(), "runs")
	small := wrapped(t, "case \"$*\" in -f*) echo >> "+runs+"; ulimit -v 26000;; esac\nexec nft \"$@\"")
	for i, st := range []*state.State{crowd(600), with(with(crowd(600), 3, swap), 500, swap)} {
		d := desiredOf(t, "cascade", st)
		if err := loadIn(t, ns, d, small); err != nil {
			t.Fatal(err)
		}
		if err := ns.Do(func() error { return d.Prove(t.Context()) }); err != nil {
			t.Fatalf("state %d: %v", i, err)
		}
	}
	text, err := os.ReadFile(runs)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n < 5 {
		t.Errorf("nft ran %d times: it had memory enough, so the test says nothing", n)
	}
}

func swap(sp *state.ServicePort) {
	sp.Endpoints[0].Share, sp.Endpoints[9].Share = sp.Endpoints[9].Share, sp.Endpoints[0].Share
}

// TestPiecesFail: whichever piece fails, the kernel holds what it held before, or
// each ServicePort has old or new rules; and the next try succeeds.
func TestPiecesFail(t *testing.T) {
	first, second := crowd(40), crowd(60)
	for i := range 40 {
		second = with(second, i, swap)
	}
	from, to := desiredOf(t, "cascade", first), desiredOf(t, "cascade", second)
	for failing := 1; ; failing++ {
		ns := labtest.Scratch(t)
		if err := loadIn(t, ns, from, nft.Runner{}); err != nil {
			t.Fatal(err)
		}
		before := listed(t, ns)
		runner := wrapped(t, calls(filepath.Join(t.TempDir(), "runs"), failing))
		runner.Largest = 2000
		var err error
		if doErr := ns.Do(func() error { err = to.LoadPieces(t.Context(), runner); return nil }); doErr != nil {
			t.Fatal(doErr)
		}
		if err == nil {
			if failing < 8 {
				t.Errorf("only %d pieces: the test says little", failing-1)
			}
			break
		}
		if after := listed(t, ns); !apply.IsPartial(err) && after != before {
			t.Errorf("piece %d failed (%v) and left\n%s", failing, err, after)
		}
		assertOldOrNew(t, ns, from, to)
		if err := loadIn(t, ns, to, nft.Runner{Largest: 2000}); err != nil {
			t.Fatal(err)
		}
		if err := ns.Do(func() error { return to.Prove(t.Context()) }); err != nil {
			t.Errorf("after piece %d failed: %v", failing, err)
		}
	}
}

// assertOldOrNew demands of each chain of a ServicePort that it is as in one of
// the rulesets.
func assertOldOrNew(t *testing.T, ns *lab.Namespace, from, to *apply.Desired) {
	t.Helper()
	rules := func(text string) map[string]string {
		chains := map[string]string{}
		for _, block := range strings.Split(text, "\tchain nodeports-")[1:] {
			name, rest, _ := strings.Cut(block, " {\n")
			body, _, _ := strings.Cut(rest, "\n\t}")
			chains[name] += body + "\n" // a chain may be in several blocks
		}
		return chains
	}
	old, new := rules(from.Text()), rules(to.Text())
	for name, body := range rules(listed(t, ns)) {
		if body != old[name] && body != new[name] {
			t.Errorf("chain %s is neither old nor new:\n%s", name, body)
		}
	}
}

// inside tells a test that it runs in a user namespace of its own.
const inside = "WEFT_TEST_IN_USER_NAMESPACE"

// TestPiecesInUserNamespace: without rights in the first user namespace, the kernel
// takes only short messages; weft loads and proves its rules nevertheless.
func TestPiecesInUserNamespace(t *testing.T) {
	st := crowd(150)
	d := desiredOf(t, "cascade", st)
	if os.Getenv(inside) != "" {
		if err := (nft.Runner{}).Load(t.Context(), d.Text()); !nft.TooLarge(err) {
			t.Errorf("one transaction: got %v, expected that it is too large", err)
		}
		if err := d.Load(t.Context(), nft.Runner{}); err != nil {
			t.Fatal(err)
		}
		if err := d.Prove(t.Context()); err != nil {
			t.Fatal(err)
		}
		return
	}
	labtest.RequireKernel(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestPiecesInUserNamespace$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) && os.Getenv("WEFT_REQUIRE_KERNEL") != "1" {
		t.Skip("user namespaces are forbidden here")
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
