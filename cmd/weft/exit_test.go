package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"

	"weft/render/apply"
	"weft/render/verify"
)

// TestExitCodeOfUnprovenRules: however an error is wrapped, its report says the code.
func TestExitCodeOfUnprovenRules(t *testing.T) {
	differs, unknown := []verify.Difference{{}}, []verify.Doubt{{}}
	for _, c := range []struct {
		name   string
		report *verify.Report
		want   int
	}{
		{"some differ", &verify.Report{Differs: differs}, 8},
		{"some cannot be told", &verify.Report{Unknown: unknown}, 9},
		{"both", &verify.Report{Differs: differs, Unknown: unknown}, 8},
	} {
		if got := exitCode(fmt.Errorf("for state 1 of 2: %w", &apply.Unproven{Report: c.report})); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

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
