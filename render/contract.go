package render

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"weft/templates"
)

// Contract is what templates may rely on in this weft, by number: the functions
// and their results, the fields of the data, the vars. A set says which one it was
// written for in its main template, such as {{/* contract: 3 */}}, and one that says
// nothing was written for 1, when there was nothing to say.
//
// A set for an older contract still works, but for what [Since] says that it may not
// use any more. One for a newer contract is refused: what it relies on may mean
// something else here, or nothing.
const Contract = 3

// Change is what a contract brought.
type Change struct {
	// Contract is the first that has it.
	Contract int
	Text     string
}

// Since lists what changed after a contract, in its order.
func Since(contract int) []Change {
	var list []Change
	for _, c := range []Change{
		{2, "functions draw and branches are new, and .Match and .Comment of what cascade gives"},
		{2, "vars affinity and affinitySeed are new, and .Affinity of a ServicePort: a set that does not use draw or .Match cannot serve affinity: hash"},
		{2, "functions randInt, durationRound and deepCopy are gone"},
		{3, "function portRange is new, and a chain may be written in several blocks, where each rule looks at the port first: cascade has eight NodePorts in one chain"},
	} {
		if c.Contract > contract {
			list = append(list, c)
		}
	}
	return list
}

// introduced are the functions that came with a contract after the first.
func introduced() map[string]int { return map[string]int{"draw": 2, "branches": 2, "portRange": 3} }

// gone says of functions that templates had once why they have them no more.
func gone() map[string]string {
	return map[string]string{
		"randInt":       "gone since contract 2: it gave other bytes each time",
		"durationRound": "gone since contract 2: it gave other bytes each time",
		"deepCopy":      "gone since contract 2: what templates read cannot be changed, so they need no copies",
		"mustDeepCopy":  "gone since contract 2: what templates read cannot be changed, so they need no copies",
	}
}

// contractPattern matches the comment that names the contract. It is looked for in
// the text, since a set for another contract may not even parse.
var contractPattern = regexp.MustCompile(`\{\{-?\s*/\*\s*contract:\s*([^\s*.,;]*)`)

// contractOf is the contract that a set's main template names, with an error for one
// that this weft does not know.
func contractOf(files []templates.File) (int, error) {
	i := slices.IndexFunc(files, func(f templates.File) bool { return filepath.Base(f.Name) == templates.Main })
	if i < 0 {
		return 1, nil
	}
	text := files[i].Text
	at := contractPattern.FindStringSubmatchIndex(text)
	if at == nil {
		return 1, nil
	}
	refuse := func(format string, args ...any) (int, error) {
		line := 1 + strings.Count(text[:at[2]], "\n")
		return 0, &Error{Place: Place{files[i].Name, line}, Message: fmt.Sprintf(format, args...), source: text}
	}
	number, err := strconv.Atoi(text[at[2]:at[3]])
	switch {
	case err != nil || number < 1:
		return refuse("contract: got %q, expected a whole number from 1 to %d", text[at[2]:at[3]], Contract)
	case number > Contract:
		return refuse("the set is written for contract %d, and this weft has contract %d: it needs a newer weft", number, Contract)
	}
	return number, nil
}

// Ahead lists the functions of a later contract than the set names, which an older
// weft would not know: each as "draw (contract 2)", sorted.
func (s *Set) Ahead() []string {
	var list []string
	if s.main == nil {
		return nil
	}
	for _, t := range s.main.Templates() {
		if t.Tree == nil {
			continue
		}
		for _, name := range functions(t.Root) {
			if since := introduced()[name]; since > s.Contract {
				list = append(list, fmt.Sprintf("%s (contract %d)", name, since))
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// missingPattern matches what text/template says of a function that it does not
// know.
var missingPattern = regexp.MustCompile(`function "([^"]+)" not defined$`)

// whyGone adds to an error of parsing why a function is not there any more.
func whyGone(e *Error) *Error {
	if m := missingPattern.FindStringSubmatch(e.Message); m != nil && gone()[m[1]] != "" {
		e.Message += ": " + gone()[m[1]]
	}
	return e
}
