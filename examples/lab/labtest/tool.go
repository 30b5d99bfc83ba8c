package labtest

import (
	"os"
	"os/exec"
	"testing"
)

// RequireTool skips the test when a program is not installed. With
// WEFT_REQUIRE_TOOLS=1 in the environment it fails instead.
func RequireTool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path
	case os.Getenv("WEFT_REQUIRE_TOOLS") == "1":
		t.Fatal(err)
	default:
		t.Skipf("needs %s: %v", name, err)
	}
	return ""
}
