package state

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The longest names that Kubernetes allows, and the longest reason that a state
// carries, in bytes.
const (
	maxLabel     = 63
	maxSubdomain = 253
	maxSkipped   = 256
)

const (
	expectedLabel     = "a DNS label: lower case letters, digits and -, at most 63 characters, beginning and ending with a letter or digit"
	expectedSubdomain = "a DNS name: lower case letters, digits, - and ., at most 253 characters, each part beginning and ending with a letter or digit"
	expectedSkipped   = `one line of at most 256 bytes of printable text without " and \`
	expectedAddress   = "a unicast address without a zone, IPv4 not written as IPv6"
)

// isLabel reports whether s is a DNS-1123 label, which is what Kubernetes takes
// for namespaces, Services and ports.
func isLabel(s string) bool {
	if len(s) == 0 || len(s) > maxLabel || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isLower(c) && !isDigit(c) && c != '-' {
			return false
		}
	}
	return true
}

// isSubdomain reports whether s is a DNS-1123 subdomain, which is what Kubernetes
// takes for nodes.
func isSubdomain(s string) bool {
	if len(s) > maxSubdomain {
		return false
	}
	for {
		part, rest, more := strings.Cut(s, ".")
		if !isLabelOfAnyLength(part) {
			return false
		}
		if !more {
			return true
		}
		s = rest
	}
}

// isLabelOfAnyLength exists because a subdomain's parts have no limit of their
// own in Kubernetes.
func isLabelOfAnyLength(s string) bool {
	for len(s) > maxLabel {
		if !isLabel(s[:1]) || strings.Trim(s[:maxLabel], "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
		s = "a" + s[maxLabel:]
	}
	return isLabel(s)
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isReason reports whether s can stand as the reason for a skipped ServicePort,
// also where a template puts it into a comment: nft has no escape in strings.
func isReason(s string) bool {
	if len(s) > maxSkipped || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r == '"' || r == '\\' || !unicode.IsPrint(r) {
			return false
		}
	}
	return strings.TrimSpace(s) == s
}

// isUnicast reports whether traffic can be sent to a.
func isUnicast(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.Is4In6() && a.Zone() == "" &&
		a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
