package kubernetes

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weft/templates"
)

var update = flag.Bool("update", false, "write the shipped set into the component")

// TestComponentIsTheShippedSet keeps the component's templates from growing old:
// kustomize takes no files from outside its folder, so they are a copy.
func TestComponentIsTheShippedSet(t *testing.T) {
	const component = "components/templates"
	shipped, err := templates.Files(templates.Cascade)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		for _, f := range shipped {
			if err := os.WriteFile(filepath.Join(component, f.Name), []byte(f.Text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	found, err := templates.Read(os.DirFS("."), component)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(shipped, found); diff != "" {
		t.Errorf("templates of the component (go test -update writes them; -shipped +found):\n%s", diff)
	}
}
