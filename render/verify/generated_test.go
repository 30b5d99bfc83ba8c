package verify_test

import (
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weft/examples/lab"
	"weft/examples/lab/labtest"
	"weft/render/verify"
	"weft/state"
)

// builder writes a random tree of chains and computes its distribution while it
// does so: an independent account of what nf_tables should do.
type builder struct {
	chains []string
	want   map[netip.AddrPort]*big.Rat
	next   int
}

func (b *builder) endpoint(t *rapid.T) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 42, 0, byte(rapid.IntRange(1, 5).Draw(t, "endpoint"))}), uint16(rapid.IntRange(80, 81).Draw(t, "port")))
}

func (b *builder) hit(to netip.AddrPort, p *big.Rat) {
	if p.Sign() == 0 {
		return
	}
	if b.want[to] == nil {
		b.want[to] = new(big.Rat)
	}
	b.want[to].Add(b.want[to], p)
}

// cuts divides a modulus into ranges, with holes where the bool is false.
func cuts(t *rapid.T, modulus int) [][2]int {
	var list [][2]int
	for at := 0; at < modulus; {
		end := rapid.IntRange(at, modulus-1).Draw(t, "end")
		if len(list) == 4 {
			end = modulus - 1
		}
		if rapid.IntRange(0, 5).Draw(t, "hole") > 0 {
			list = append(list, [2]int{at, end})
		}
		at = end + 1
	}
	return list
}

func slotRange(r [2]int, offset int) string {
	if r[0] == r[1] {
		return fmt.Sprint(r[0] + offset)
	}
	return fmt.Sprintf("%d-%d", r[0]+offset, r[1]+offset)
}

// chain writes a chain that packets of weight p enter, and returns its name and
// the weight that comes out at its end.
func (b *builder) chain(t *rapid.T, p *big.Rat, depth int) (string, *big.Rat) {
	name := fmt.Sprintf("c%d", b.next)
	b.next++
	text := ""
	left := new(big.Rat).Set(p)
	for range rapid.IntRange(1, 3).Draw(t, "rules") {
		kind := rapid.IntRange(0, 5).Draw(t, "kind")
		if depth == 0 && kind > 2 {
			kind -= 3
		}
		var rule string
		rule, left = b.rule(t, kind, left, depth)
		text += "\t\t" + rule + "\n"
	}
	b.chains = append(b.chains, fmt.Sprintf("\tchain %s {\n%s\t}\n", name, text))
	return name, left
}

func part(p *big.Rat, n, d int) *big.Rat {
	return new(big.Rat).Mul(p, big.NewRat(int64(n), int64(d)))
}

func (b *builder) rule(t *rapid.T, kind int, p *big.Rat, depth int) (string, *big.Rat) {
	modulus := rapid.SampledFrom([]int{1, 2, 3, 7, 100, 1000, 65536}).Draw(t, "modulus")
	offset := rapid.SampledFrom([]int{0, 0, 1, 1000}).Draw(t, "offset")
	numgen := fmt.Sprintf("numgen random mod %d offset %d", modulus, offset)
	switch kind {
	case 0: // dnat for the rest
		to := b.endpoint(t)
		b.hit(to, p)
		return "meta l4proto tcp dnat to " + to.String(), new(big.Rat)
	case 1: // a rule of a cascade
		n := rapid.IntRange(0, modulus-1).Draw(t, "slots")
		op := rapid.SampledFrom([]string{"<", ">=", "!=", "<="}).Draw(t, "op")
		if n+offset == 0 && op != "<=" {
			op = "!=" // nft refuses comparisons that are always or never true
		}
		hits := map[string]int{"<": n, ">=": modulus - n, "!=": modulus - 1, "<=": n + 1}[op]
		to := b.endpoint(t)
		b.hit(to, part(p, hits, modulus))
		return fmt.Sprintf("%s %s %d meta l4proto tcp dnat to %s", numgen, op, n+offset, to), part(p, modulus-hits, modulus)
	case 2: // an inline map
		ranges := cuts(t, modulus)
		if len(ranges) == 0 {
			return "counter", p
		}
		var parts []string
		out := new(big.Rat).Set(p)
		for _, r := range ranges {
			to := b.endpoint(t)
			share := part(p, r[1]-r[0]+1, modulus)
			b.hit(to, share)
			out.Sub(out, share)
			parts = append(parts, fmt.Sprintf("%s : %s . %d", slotRange(r, offset), to.Addr(), to.Port()))
		}
		return fmt.Sprintf("meta l4proto tcp dnat ip to %s map { %s }", numgen, strings.Join(parts, ", ")), out
	case 3: // jump: what is left comes back
		name, out := b.chain(t, p, depth-1)
		return "jump " + name, out
	default: // a verdict map of gotos, whose rest never comes back
		ranges := cuts(t, modulus)
		if len(ranges) == 0 {
			return "log", p
		}
		var parts []string
		out := new(big.Rat).Set(p)
		lost := new(big.Rat)
		for _, r := range ranges {
			share := part(p, r[1]-r[0]+1, modulus)
			name, end := b.chain(t, share, depth-1)
			lost.Add(lost, end)
			out.Sub(out, share)
			parts = append(parts, fmt.Sprintf("%s : jump %s", slotRange(r, offset), name))
		}
		return fmt.Sprintf("%s vmap { %s }", numgen, strings.Join(parts, ", ")), out.Add(out, lost)
	}
}

// TestGeneratedRulesets: the distribution of random trees of cascades, maps and
// jumps is what the generator says, exactly.
func TestGeneratedRulesets(t *testing.T) {
	ns := labtest.Scratch(t)
	rapid.Check(t, func(rt *rapid.T) { generated(t, rt, ns) })
}

func generated(t *testing.T, rt *rapid.T, ns *lab.Namespace) {
	b := &builder{want: map[netip.AddrPort]*big.Rat{}}
	root, left := b.chain(rt, big.NewRat(1, 1), 2)
	b.hit(netip.AddrPort{}, left)
	text := "table ip weft\ndelete table ip weft\ntable ip weft {\n" + strings.Join(b.chains, "") +
		"\tchain prerouting {\n\t\ttype nat hook prerouting priority -150; policy accept;\n\t\tjump " + root + "\n\t}\n}\n"
	load(t, ns, text)
	outcome, err := read(t, ns).Trace(verify.Prerouting, verify.Packet{
		Protocol: state.TCP, Destination: netip.MustParseAddrPort("10.34.4.141:30000"), Local: true,
	})
	if err != nil || len(outcome.Classes) != 1 {
		rt.Fatalf("outcome = %+v, %v\n%s", outcome, err, text)
	}
	found := map[netip.AddrPort]*big.Rat{}
	for _, e := range outcome.Classes[0].Ends {
		if e.Kind != verify.Translated && e.Kind != verify.Through {
			rt.Fatalf("end %v\n%s", e, text)
		}
		found[e.To] = e.Fraction.Rat()
	}
	if len(found) != len(b.want) {
		rt.Fatalf("found %v, want %v\n%s", found, b.want, text)
	}
	for to, p := range b.want {
		if found[to] == nil || found[to].Cmp(p) != 0 {
			rt.Fatalf("%v gets %v, want %v\n%s", to, found[to], p, text)
		}
	}
}
