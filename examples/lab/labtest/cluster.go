package labtest

import (
	"errors"
	"os"
	"testing"

	"weft/examples/lab/cluster"
	"weft/examples/lab/controlplane"
)

// RequireControlPlane skips the test where no control plane is compiled. With
// WEFT_REQUIRE_CONTROLPLANE=1 in the environment it fails instead.
func RequireControlPlane(t testing.TB) controlplane.Programs {
	t.Helper()
	RequireKernel(t)
	programs, err := controlplane.Locate()
	if errors.Is(err, controlplane.ErrMissing) && os.Getenv("WEFT_REQUIRE_CONTROLPLANE") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return programs
}

// StartCluster starts a cluster with a backend at port 8080 of every pod, which
// ends with the test.
func StartCluster(t testing.TB, opts cluster.Options) *cluster.Cluster {
	t.Helper()
	RequireControlPlane(t)
	c, err := cluster.Start(t.Context(), opts)
	unmetIfForbidden(t, err)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := c.ServePods(Port); err != nil {
		t.Fatal(err)
	}
	return c
}
