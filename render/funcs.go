package render

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"unicode/utf8"

	"weft/state"
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
		"comment":   comment,
		"timeout":   func() string { return timeout(vars) },
		"modulus":   func(p *ServicePort) int { return modulus(vars, p) },
		"ranges":    ranges,
		"cascade":   cascade,
	}
}

// chainName names the chain of a ServicePort. The hash is the first eight
// characters of base32(sha256("namespace/name/protocol/port")), which is how
// kube-proxy makes its own.
func chainName(pattern string, p *ServicePort) (string, error) {
	if p.chain != "" { // the pattern is the same for as long as the data is
		return p.chain, nil
	}
	sum := sha256.Sum256([]byte(p.Namespace + "/" + p.Name + "/" + p.Protocol + "/" + p.Port))
	name := p.fill(pattern, base32.StdEncoding.EncodeToString(sum[:])[:8])
	if err := checkName(name); err != nil {
		return "", fmt.Errorf("name the chain of %s: %w", p.ID, err)
	}
	p.chain = name
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

// modulus is the number of slots that the ServicePort's shares are cut into.
func modulus(vars Vars, p *ServicePort) int {
	if n, ok := vars["modulus"].(int); ok && n > 0 {
		return n
	}
	n, _ := state.Modulus(p.records)
	return n
}

// Slots are the slots of one endpoint: those from First on, Count of them.
type Slots struct {
	Address  netip.Addr
	Port     uint16
	AddrPort string
	Node     string
	Local    bool
	Share    float64

	First, Count int

	endpoint *Endpoint
}

// Percent is the share as people read it.
func (s Slots) Percent() string { return percent(s.Share) }

// slots repeats the fields of the endpoint: package reflect needs long to find
// those of an embedded one.
func (e *Endpoint) slots(first, count int) Slots {
	return Slots{e.Address, e.Port, e.AddrPort, e.Node, e.Local, e.Share, first, count, e}
}

// String is the range as nft prints it: a single slot is a bare number.
func (s Slots) String() string {
	if s.Count == 1 {
		return strconv.Itoa(s.First)
	}
	return strconv.Itoa(s.First) + "-" + strconv.Itoa(s.First+s.Count-1)
}

// ranges cuts 0..modulus-1 into one range for each endpoint with a share. The
// ranges follow one another without a hole, in the order of the endpoints.
func ranges(modulus int, p *ServicePort) ([]Slots, error) {
	counts, err := state.Slots(p.node, p.records, modulus)
	if err != nil {
		return nil, err
	}
	list := make([]Slots, 0, len(counts))
	first := 0
	for i, n := range counts {
		if n > 0 {
			list = append(list, p.Endpoints[i].slots(first, n))
		}
		first += n
	}
	return list, nil
}

// Pick is a rule of a cascade: the endpoint is taken with Count out of the Left
// slots that the rules before it left.
type Pick struct {
	Address  netip.Addr
	Port     uint16
	AddrPort string
	Node     string
	Local    bool
	Share    float64

	Count, Left int
	// Last takes all that is left.
	Last bool

	endpoint *Endpoint
}

// Percent is the share as people read it.
func (p Pick) Percent() string { return percent(p.Share) }

func (e *Endpoint) pick(count, left int, last bool) Pick {
	return Pick{e.Address, e.Port, e.AddrPort, e.Node, e.Local, e.Share, count, left, last, e}
}

// cascade orders the endpoints so that an average packet meets few rules: the
// largest share first, equal ones in the order of the endpoints.
func cascade(modulus int, p *ServicePort) ([]Pick, error) {
	list, err := ranges(modulus, p)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b Slots) int { return cmp.Compare(b.Count, a.Count) })
	picks := make([]Pick, len(list))
	left := modulus
	for i, s := range list {
		picks[i] = s.endpoint.pick(s.Count, left, i == len(list)-1)
		left -= s.Count
	}
	return picks, nil
}
