package page

import (
	"html/template"
	"net/url"
	"strconv"
	"strings"
	"time"

	"weft/cmd/weft/overview"
	"weft/state/status"
)

// functions are those that the pages call.
func functions() template.FuncMap {
	return template.FuncMap{
		"percent": overview.Percent,
		"ms":      overview.Milliseconds,
		"age":     func(t time.Time) string { return overview.Age(time.Since(t)) },
		"ago":     func(t time.Time) string { return overview.Age(time.Since(t)) + " ago" },
		"utc":     func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" },
		"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"took":    func(seconds float64) string { return duration(seconds) },
		"number":  number,
		"many":    func(n uint64) string { return number(int(n)) },
		"width":   func(v float64) string { return strconv.FormatFloat(min(max(v, 0), 1)*100, 'f', 2, 64) },
		"inc":     func(i int) int { return i + 1 },
		"first":   func(s string) string { line, _, _ := strings.Cut(s, "\n"); return line },
		"lower":   strings.ToLower,
		"long":    func(s string) bool { return short(s) != s },
		"short":   short,
		"portURL": portURL,
		"skipped": func(steered, all int) int { return all - steered },
		"factor":  func(v *float64) string { return strconv.FormatFloat(*v, 'f', 2, 64) },
		"plural": func(n int, one, many string) string {
			if n == 1 {
				return number(n) + " " + one
			}
			return number(n) + " " + many
		},
	}
}

func portURL(p status.ServicePort) string {
	return "/port?" + url.Values{"id": {p.ID}, "protocol": {string(p.Protocol)}}.Encode()
}

// duration is a time that something took.
func duration(seconds float64) string {
	if seconds < 1 {
		return overview.Milliseconds(seconds)
	}
	return strconv.FormatFloat(seconds, 'f', 1, 64) + " s"
}

// number has a thin space between thousands.
func number(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u2009" + s[i:]
	}
	return s
}

// short is the beginning of a text that does not fit on a line.
func short(s string) string {
	const most = 160
	line, _, _ := strings.Cut(s, "\n")
	if runes := []rune(line); len(runes) > most {
		line = string(runes[:most])
	}
	if line == s {
		return s
	}
	return line + " ..."
}
