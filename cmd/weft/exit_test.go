package main

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestExitCodesAreTold compares the codes of exit.go with those that the README and
// the help tell.
func TestExitCodesAreTold(t *testing.T) {
	source, err := os.ReadFile("exit.go")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	section := regexp.MustCompile(`(?s)## Exit codes\n.*?\n## `).Find(readme)
	codes := func(pattern string, text []byte) (list []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(text, -1) {
			list = append(list, string(m[1]))
		}
		slices.Sort(list)
		return list
	}
	want := codes(`\texit\w+ += (\d+)`, source)
	if len(want) < 10 {
		t.Fatalf("found %v in exit.go", want)
	}
	if got := codes(`(?m)^\| (\d+) \|`, section); !slices.Equal(got, want) {
		t.Errorf("the README tells of %v, and there are %v", got, want)
	}
	help := regexp.MustCompile(`(?s)Exit codes:.*`).Find([]byte(about))
	if got := codes(`[:;]\s(\d+) `, help); !slices.Equal(got, want) {
		t.Errorf("the help tells of %v, and there are %v", got, want)
	}
}
