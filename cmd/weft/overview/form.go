package overview

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// table aligns what f writes, with bars where there is room for them.
func (p *printer) table(f func(io.Writer)) {
	text := aligned(f)
	if p.Width > 0 && slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool { return width(line) > p.Width }) {
		p.bare = true
		text = aligned(f)
		p.bare = false
	}
	p.b.WriteString(text)
}

func aligned(f func(io.Writer)) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	f(w)
	_ = w.Flush() // a strings.Builder takes everything
	return b.String()
}

// fit cuts the text to the width and the height.
func (p *printer) fit() string {
	lines := strings.Split(strings.TrimRight(p.b.String(), "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(cut(line, p.Width), " ")
	}
	if p.Height > 0 && len(lines) > p.Height {
		lines = append(lines[:p.Height-1], p.paint(faint, "..."))
	}
	return strings.Join(lines, "\n") + "\n"
}

// width is how many characters a line has, of which escapes are none.
func width(line string) int {
	n, escape := 0, false
	for _, r := range line {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		default:
			n++
		}
	}
	return n
}

// wrap goes on in the next line, indented, where a line is wider than so many
// characters; 0 is endless. A word that is wider stays whole.
func wrap(line string, most, indent int) string {
	indent = min(indent, most/3)
	if most <= 0 || width(line) <= most {
		return line
	}
	start := len(line) - len(strings.TrimLeft(line, " "))
	var b strings.Builder
	b.WriteString(line[:start])
	at, begun := start, false
	for word := range strings.SplitSeq(line[start:], " ") {
		n := width(word)
		switch {
		case begun && at+1+n > most:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			at = indent
		case begun:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at, begun = at+n, true
	}
	return b.String()
}

// cut cuts a line to so many characters, of which escapes are none.
func cut(line string, width int) string {
	if width <= 0 {
		return line
	}
	n, escape := 0, false
	for i, r := range line {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		default:
			if n++; n > width {
				return line[:i] + "\x1b[0m"[:4*min(1, strings.Count(line, "\x1b"))]
			}
		}
	}
	return line
}

func (p *printer) age(t time.Time) string { return Age(p.now.Sub(t)) }

// Age is a duration as people say it: the two largest units.
func Age(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}

// Percent is a part of 1 with as many digits as matter.
func Percent(v float64) string {
	if v > 0 && v < 0.0995 {
		return fmt.Sprintf("%.1f%%", v*100)
	}
	return fmt.Sprintf("%.0f%%", v*100)
}

// Milliseconds is a time in seconds with three digits.
func Milliseconds(seconds float64) string {
	ms := seconds * 1000
	switch {
	case ms < 1:
		return fmt.Sprintf("%.3f ms", ms)
	case ms < 10:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 100:
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}
