package verify

import (
	"encoding/binary"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"weft/render/verify/nfnl"
	"weft/state"
)

// fromMessages builds tables from recorded netlink messages (see nfnl.TestRecord),
// as leniently as it can.
func fromMessages(b []byte) *Ruleset {
	t := &table{Table: nfnl.Table{Family: INet, Name: "t"}, chains: map[string]*chain{}, sets: map[string]*set{}}
	var (
		d        nfnl.RuleDecoder
		rules    []*nfnl.Rule
		sets     []*nfnl.Set
		elements = map[string][]nfnl.Element{}
	)
	for len(b) >= 3 {
		n := min(3+int(binary.BigEndian.Uint16(b[1:])), len(b))
		msg := b[3:n]
		switch b[0] {
		case 4:
			if c, err := nfnl.DecodeChain(msg); err == nil {
				t.chains[c.Name] = &chain{Chain: c, table: t}
			}
		case 7:
			if r, err := d.Decode(msg); err == nil {
				rules = append(rules, r)
			}
		case 10:
			if s, err := nfnl.DecodeSet(msg); err == nil {
				sets = append(sets, s)
			}
		case 13:
			if _, name, list, err := nfnl.DecodeElements(msg); err == nil {
				elements[name] = append(elements[name], list...)
			}
		}
		b = b[n:]
	}
	of := map[string][]*nfnl.Rule{}
	for _, r := range rules {
		of[r.Chain] = append(of[r.Chain], r)
	}
	for name, c := range t.chains {
		c.rules = rulesOf(of[name], new(pool))
	}
	for _, s := range sets {
		t.sets[s.Name] = newSet(s, elements[s.Name])
	}
	return &Ruleset{tables: []*table{t}}
}

// oneRuleEach splits recorded messages into rulesets with one rule each: all of
// the conditions in testdata one after the other are more than a walk can tell.
func oneRuleEach(b []byte) [][]byte {
	var rules, rest, seeds [][]byte
	for len(b) >= 3 {
		n := 3 + int(binary.BigEndian.Uint16(b[1:]))
		if b[0] == 7 {
			rules = append(rules, b[:n])
		} else {
			rest = append(rest, b[:n])
		}
		b = b[n:]
	}
	for _, r := range rules {
		seeds = append(seeds, slices.Concat(slices.Concat(rest...), r))
	}
	return seeds
}

// FuzzTrace: no kernel objects make the interpreter panic or run for ever, and
// the fractions of each class sum to 1.
func FuzzTrace(f *testing.F) {
	files, err := filepath.Glob("nfnl/testdata/*.bin")
	if err != nil || len(files) == 0 {
		f.Fatal("no recorded messages", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, seed := range oneRuleEach(b) {
			f.Add(seed)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		rs := fromMessages(b)
		for _, to := range []string{"10.34.4.141:30000", "[fd00::141]:30000"} {
			for _, hook := range []Hook{Prerouting, Output, Postrouting} {
				outcome, err := rs.Trace(hook, Packet{Protocol: state.TCP, Destination: netip.MustParseAddrPort(to)})
				if err != nil {
					t.Fatal(err)
				}
				for _, class := range outcome.Classes {
					sumsToOne(t, class)
				}
			}
		}
		st := &state.State{Addresses: []netip.Addr{netip.MustParseAddr("10.34.4.141")}, ServicePorts: []*state.ServicePort{{
			Protocol: state.TCP, NodePort: 30000, Endpoints: []state.Endpoint{{Address: netip.MustParseAddr("10.42.4.201"), Port: 8080, Share: 1}},
		}}}
		_ = Check(rs, st, Want{}).String()
	})
}

func sumsToOne(t *testing.T, class Class) {
	sum := new(big.Rat)
	for _, e := range class.Ends {
		sum.Add(sum, e.Fraction.Rat())
		for _, s := range e.Path() {
			_ = s.Verdict
		}
	}
	if sum.Cmp(big.NewRat(1, 1)) != 0 {
		t.Errorf("fractions of %v sum to %v", class, sum)
	}
}
