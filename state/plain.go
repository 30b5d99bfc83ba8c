package state

import (
	"strings"

	"weft/state/strict"
)

// scalar is a string as the Encoder writes it: quoted only where YAML needs it.
// The cases that are surely plain are decided here, and the others by yaml.v3.
func scalar(s string) string {
	switch {
	case s == "": // as most ports are
		return `""`
	case isPlainName(s) || isPlain(s):
		return s
	}
	return strict.ScalarText(s)
}

// isPlainName reports whether a DNS name is surely a string in YAML without
// quotes: it begins with a letter and is no word that some YAML takes for
// something else, or it begins with a digit and has a letter that no number and
// no time has.
func isPlainName(s string) bool {
	if s == "" || !isLower(s[0]) && !isDigit(s[0]) {
		return false
	}
	wordy := false
	for i := range len(s) {
		c := s[i]
		if !isLower(c) && !isDigit(c) && c != '-' && c != '.' {
			return false
		}
		wordy = wordy || strings.IndexByte("ghijklmnpqrsuvwy", c) >= 0
	}
	return s[len(s)-1] != '-' && s[len(s)-1] != '.' && (wordy || isLower(s[0])) && !isWord(s)
}

// isWord knows the booleans and nulls of all YAML versions, in lower case.
func isWord(s string) bool {
	switch s {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return true
	}
	return false
}

// isPlain reports whether a sentence is surely a string in YAML's block style
// without quotes: it begins and ends with a letter, has a space, and nothing but
// letters, digits and harmless punctuation in between.
func isPlain(s string) bool {
	if len(s) < 2 || !isLetter(s[0]) || !isLetter(s[len(s)-1]) || !strings.Contains(s, " ") {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isLetter(c) && !isDigit(c) && strings.IndexByte(" ,.;()/'-_", c) < 0 {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return isLower(c|0x20) && c >= 'A' }
