package render

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"unicode/utf8"
)

// maxComment is the longest comment that nft 1.0.6 takes, in bytes.
const maxComment = 128

// maxChainName is the longest name of a chain that the kernel takes, in bytes
// (NFT_NAME_MAXLEN less the terminating zero).
const maxChainName = 255

// domainFuncs are weft's own functions, which know what nft takes. Each refuses
// what nft could misread, so that no value can become syntax.
func domainFuncs(vars Vars) template.FuncMap {
	return template.FuncMap{
		"chainName": func(p *ServicePort) (string, error) { return chainName(vars.text("chainName"), p) },
		"portSet":   func(protocol string) (string, error) { return portSet(vars.text("portSet"), protocol) },
		"portRange": portRange,
		"comment":   comment,
		"timeout":   func() string { return timeout(vars) },
		"modulus":   func(p *ServicePort) int { return modulus(vars, p) },
		"draw":      draw,
		"ranges":    ranges,
		"cascade":   cascade,
		"branches": func(modulus int, p *ServicePort) ([]Branch, error) {
			return branches(vars.text("chainName"), modulus, p)
		},
	}
}

// chainName names the chain of a ServicePort. The hash is the first eight
// characters of base32(sha256("namespace/name/protocol/port")), which is how
// kube-proxy makes its own.
func chainName(pattern string, p *ServicePort) (string, error) {
	if known := p.chain.Load(); known != nil { // the pattern is the same for as long as the data is
		return *known, nil
	}
	sum := sha256.Sum256([]byte(p.Namespace + "/" + p.Name + "/" + p.Protocol + "/" + p.Port))
	name := p.fill(pattern, base32.StdEncoding.EncodeToString(sum[:])[:8])
	if err := checkName(name); err != nil {
		return "", fmt.Errorf("name the chain of %s: %w", p.ID, err)
	}
	p.chain.Store(&name)
	return name, nil
}

var namePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./-]*$`)

func checkName(name string) error {
	if len(name) > maxChainName {
		return fmt.Errorf("%q has %d bytes, more than nft's %d", name, len(name), maxChainName)
	}
	if !namePattern.MatchString(name) {
		return fmt.Errorf("%q is no name for nft: expected a letter first, then letters, digits and _ . / -", name)
	}
	return nil
}

// portRange is the range of so many NodePorts that holds that of a ServicePort, as
// "30000-30007": the first is a multiple of the size.
func portRange(size int, p *ServicePort) (string, error) {
	const ports = 1 << 16
	if size < 1 || size > ports {
		return "", fmt.Errorf("portRange: got a size of %d, expected 1 to %d", size, ports)
	}
	first := int(p.NodePort) / size * size
	return strconv.Itoa(first) + "-" + strconv.Itoa(min(first+size, ports)-1), nil
}

func portSet(pattern, protocol string) (string, error) {
	name := strings.ReplaceAll(pattern, "{protocol}", protocol)
	return name, checkName(name)
}

// comment quotes a text for nft, whose strings know no escapes. A text with a
// quote, a backslash or a control character is refused; a long one is cut
// between two characters.
func comment(text string) (string, error) {
	for _, r := range text {
		if r < ' ' || r == 0x7f || r == '"' || r == '\\' || r == utf8.RuneError {
			return "", fmt.Errorf("%q cannot be a comment: nft's strings hold no %q", text, r)
		}
	}
	for len(text) > maxComment {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return `"` + text + `"`, nil
}

// timeout is what follows an element of the set of the node's addresses, so
// that it ends unless it is renewed: " timeout 60s", or nothing without a
// heartbeat.
func timeout(vars Vars) string {
	d := vars.Heartbeat()
	if d == 0 {
		return ""
	}
	return " timeout " + nftDuration(d)
}
