// Package labtest gives tests a kernel to try rules in.
package labtest

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"weft/examples/lab"
)

// RequireKernel skips the test when it cannot make namespaces or run nft. With
// WEFT_REQUIRE_KERNEL=1 in the environment it fails instead, so that a run that
// should prove something about the kernel cannot pass by skipping.
func RequireKernel(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		unmet(t, "needs root for network namespaces")
	}
	if _, err := exec.LookPath("nft"); err != nil {
		unmet(t, "needs nft: "+err.Error())
	}
	ns, err := lab.New()
	unmetIfForbidden(t, err)
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Close(); err != nil {
		t.Fatal(err)
	}
}

// unmetIfForbidden tells what a container without rights, or with a read-only
// /proc/sys, forbids.
func unmetIfForbidden(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EROFS) {
		unmet(t, err.Error())
	}
}

func unmet(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("WEFT_REQUIRE_KERNEL") == "1" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// Scratch is an empty network namespace with the loopback up, closed at the end
// of the test.
func Scratch(t testing.TB) *lab.Namespace {
	t.Helper()
	RequireKernel(t)
	ns, err := lab.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := ns.Run("ip", "link", "set", "lo", "up"); err != nil {
		t.Fatal(err)
	}
	return ns
}
