package ruleset

import (
	"strconv"
	"strings"
)

// namedPriorities are the names that nft knows for numbers, with the hooks in
// which it takes them (src/rule.c, std_prios and std_prio_family_hook_compat,
// of nftables 1.0.6). No hooks means all of them.
var namedPriorities = map[string]map[string]struct {
	number int
	hook   string
}{
	"ip": {
		"raw": {-300, ""}, "mangle": {-150, ""}, "dstnat": {-100, "prerouting"},
		"filter": {0, ""}, "security": {50, ""}, "srcnat": {100, "postrouting"},
	},
	"bridge": {
		"dstnat": {-300, "prerouting"}, "filter": {-200, ""},
		"out": {100, "output"}, "srcnat": {300, "postrouting"},
	},
	"netdev": {"filter": {0, ""}},
}

// Priority gives the number behind the priority of a base chain: a number, or
// a name that nft knows in this family and hook, alone or with a number added
// or subtracted ("srcnat - 10"). False means that nft 1.0.6 refuses it.
func Priority(family, hook, text string) (int, bool) {
	lex := lexer{text: text}
	first := lex.next()
	base := 0
	if first.kind == word && !isDigit(first.text[0]) {
		switch family {
		case "ip6", "inet":
			family = "ip"
		case "arp":
			family = "netdev"
		}
		named, ok := namedPriorities[family][first.text]
		if !ok || named.hook != "" && named.hook != hook {
			return 0, false
		}
		if base = named.number; lex.pos == len(text) {
			return base, true
		}
	} else {
		lex.pos = 0
	}
	rest := strings.Join(strings.Fields(text[lex.pos:]), "")
	if base == 0 && first.kind != word && strings.HasPrefix(rest, "+") {
		return 0, false // nft takes `filter + 5` but not `+5`
	}
	n, err := strconv.ParseInt(rest, 10, 32)
	return base + int(n), err == nil
}
