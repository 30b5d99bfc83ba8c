package ruleset

import (
	"net/netip"
	"strings"
)

// kind is what a token is.
type kind uint8

const (
	endOfText kind = iota
	newline
	word   // a name, keyword, number, address or time
	quoted // with its quotes
	symbol // punctuation and operators
	junk   // a byte that nft's scanner knows nothing of
)

// token is one word of nft's language.
type token struct {
	kind   kind
	at     int // offset of its first byte
	text   string
	spaced bool // white space, a comment or a line's end stands before it
}

func (t token) is(text string) bool { return t.text == text && t.kind != quoted }

// lexer cuts text as nft's scanner does (src/scanner.l of nftables 1.0.6): the
// longest match wins, so `10.0.0.1:80` are three tokens and `fe80::1` is one.
type lexer struct {
	text string
	pos  int
}

// Classes of bytes.
const (
	classJunk = iota
	classSpace
	classLetter // may begin a name
	classDigit
	classInner // may stand inside a name: / and -; they are operators elsewhere
	classSymbol
	classOther // newline, quote, comment, backslash
)

var classes = func() (c [256]uint8) {
	for b := 'a'; b <= 'z'; b++ {
		c[b], c[b-'a'+'A'] = classLetter, classLetter
	}
	for b := '0'; b <= '9'; b++ {
		c[b] = classDigit
	}
	for class, bytes := range map[uint8]string{
		classSpace: " \t", classLetter: "_.", classInner: "/-",
		classSymbol: "{}()[];,:=!<>&|^$@*+", classOther: "\n\"#\\",
	} {
		for i := range len(bytes) {
			c[bytes[i]] = class
		}
	}
	return c
}()

// next gives the next token.
func (l *lexer) next() token {
	spaced := l.blank()
	t := token{at: l.pos, spaced: spaced}
	if l.pos >= len(l.text) {
		return t
	}
	var n int
	t.kind, n = l.scan(l.text[l.pos:])
	t.text = l.text[l.pos : l.pos+n]
	l.pos += n
	return t
}

// blank skips white space, comments and continued lines.
func (l *lexer) blank() bool {
	start := l.pos
	for ; l.pos < len(l.text); l.pos++ {
		switch c := l.text[l.pos]; {
		case c == ' ' || c == '\t':
		case c == '\\' && l.pos+1 < len(l.text) && l.text[l.pos+1] == '\n':
			l.pos++
		case c == '#':
			for l.pos+1 < len(l.text) && l.text[l.pos+1] != '\n' {
				l.pos++
			}
		default:
			return l.pos > start
		}
	}
	return l.pos > start
}

// scan gives the kind and length of the token that rest begins with.
func (l *lexer) scan(rest string) (kind, int) {
	switch c := rest[0]; classes[c] {
	case classLetter:
		return word, nameLength(rest)
	case classDigit:
		return word, numberLength(rest)
	case classInner:
		return symbol, 1
	case classSymbol:
		if n := addressLength(rest); c == ':' && n > 0 {
			return word, n
		}
		return symbol, symbolLength(rest)
	case classOther:
		if c == '\n' {
			return newline, 1
		}
		if n := quotedLength(rest); c == '"' && n > 0 {
			return quoted, n
		}
	}
	return junk, 1
}

// quotedLength is 0 for a string that does not end on its line. nft lets a
// string go on over the end of a line; nobody means that.
func quotedLength(s string) int {
	for i := 1; i < len(s) && s[i] != '\n'; i++ {
		if s[i] == '"' {
			return i + 1
		}
	}
	return 0
}

func symbolLength(s string) int {
	if len(s) > 1 {
		switch s[:2] {
		case "==", "!=", "<=", ">=", "<<", ">>":
			return 2
		}
	}
	return 1
}

// nameLength is the length of the name that s begins with, or of the IPv6 or
// MAC address if that is longer.
func nameLength(s string) int {
	n := 1
	for n < len(s) && classes[s[n]] >= classLetter && classes[s[n]] <= classInner {
		n++
	}
	if n < len(s) && s[n] == '*' { // wildcard of an interface name
		return n + 1
	}
	if n < len(s) && s[n] == ':' {
		return max(n, addressLength(s))
	}
	return n
}

// numberLength is the length of the number, time or address that s begins with.
func numberLength(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	if n == 1 && s[0] == '0' && len(s) > 2 && (s[1] == 'x' || s[1] == 'X') && isHex(s[2]) {
		n = 2
		for n < len(s) && isHex(s[n]) {
			n++
		}
		return n
	}
	return max(n, timeLength(s), dottedLength(s), addressLength(s))
}

// timeLength is the length of a time such as 1h30m or 60s.
func timeLength(s string) int {
	end := 0
	for _, unit := range [...]string{"d", "h", "m", "s", "ms"} {
		n := end
		for n < len(s) && isDigit(s[n]) {
			n++
		}
		if n > end && strings.HasPrefix(s[n:], unit) && (unit != "m" || !strings.HasPrefix(s[n:], "ms")) {
			end = n + len(unit)
		}
	}
	return end
}

// dottedLength is the length of four numbers of up to three digits with dots.
func dottedLength(s string) int {
	n := 0
	for group := range 4 {
		if group > 0 {
			if n >= len(s) || s[n] != '.' {
				return 0
			}
			n++
		}
		start := n
		for n < len(s) && n < start+3 && isDigit(s[n]) {
			n++
		}
		if n == start {
			return 0
		}
	}
	return n
}

// addressLength is the length of the longest IPv6 or MAC address that s begins
// with, 0 if there is none.
func addressLength(s string) int {
	const longest = len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")
	n, colons := 0, 0
	for n < len(s) && n < longest && (isHex(s[n]) || s[n] == ':' || s[n] == '.') {
		if s[n] == ':' {
			colons++
		}
		n++
	}
	if colons == 0 {
		return 0
	}
	for ; colons > 1 && n > 1; n-- {
		if a, err := netip.ParseAddr(s[:n]); err == nil && a.Is6() {
			return max(n, macLength(s))
		}
	}
	return macLength(s)
}

// macLength is the length of two to six pairs of hexadecimal digits with
// colons. nft takes `0:ac` of `0:accept` for one as well.
func macLength(s string) int {
	end, n := 0, 0
	for group := range 6 {
		start := n
		for n < len(s) && n < start+2 && isHex(s[n]) {
			n++
		}
		if n == start {
			return end
		}
		if group > 0 {
			end = n
		}
		if n >= len(s) || s[n] != ':' {
			return end
		}
		n++
	}
	return end
}

func isDigit(c byte) bool { return classes[c] == classDigit }

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
