// Package templates holds the template sets that weft ships.
//
// A set is a folder: ruleset.nft.tmpl is executed, and _*.nft.tmpl are its
// partials. The shipped sets differ only in the chain of a ServicePort, so the
// partials that they share are kept once, in common, and [Files] hands out each
// set complete, as it would lie in a user's folder.
package templates

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Main is the name of the template of a set that is executed.
const Main = "ruleset.nft.tmpl"

// Suffix is how the name of each template file ends.
const Suffix = ".nft.tmpl"

// The shipped sets.
const (
	Simplified = "simplified"
	Cascade    = "cascade"
)

// The prefix all: takes in the partials, whose names begin with an underscore.
//
//go:embed all:common all:simplified all:cascade
var sets embed.FS

// File is one template of a set.
type File struct {
	// Name is the file's name in the set's folder.
	Name string
	Text string
}

// Names lists the shipped sets, sorted.
func Names() []string { return []string{Cascade, Simplified} }

// Files returns the templates of a shipped set, sorted by name. A name that is
// not among [Names] is an error that matches fs.ErrNotExist.
func Files(name string) ([]File, error) {
	if !slices.Contains(Names(), name) {
		return nil, fmt.Errorf("template set %q: %w; shipped sets are %s", name, fs.ErrNotExist, strings.Join(Names(), ", "))
	}
	var files []File
	for _, folder := range []string{"common", name} {
		found, err := Read(sets, folder)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

// Read returns the templates in a folder, sorted by name: ruleset.nft.tmpl and
// each _*.nft.tmpl. Other files, hidden ones and folders are passed over, so
// that an editor's backup or a ConfigMap's ..data is no template.
func Read(fsys fs.FS, folder string) ([]File, error) {
	entries, err := fs.ReadDir(fsys, folder)
	if err != nil {
		return nil, fmt.Errorf("read template set: %w", err)
	}
	var files []File
	for _, e := range entries {
		if !isTemplate(e.Name()) {
			continue
		}
		text, err := fs.ReadFile(fsys, path.Join(folder, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read template: %w", err)
		}
		files = append(files, File{Name: e.Name(), Text: string(text)})
	}
	return files, nil
}

func isTemplate(name string) bool {
	return name == Main || strings.HasPrefix(name, "_") && strings.HasSuffix(name, Suffix)
}
