package labtest

import (
	"testing"

	"weft/examples/lab"
)

// Build makes a lab with a backend at port 8080 of every pod, closed at the end
// of the test.
func Build(t testing.TB, opts lab.Options) *lab.Lab {
	t.Helper()
	RequireKernel(t)
	l, err := lab.Build(opts)
	unmetIfForbidden(t, err)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := l.ServePods(Port); err != nil {
		t.Fatal(err)
	}
	return l
}

// Port is where the backends of [Build] listen.
const Port = 8080
