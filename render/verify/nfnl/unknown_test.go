package nfnl

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

func raw(typ uint16, data []byte) []byte {
	b := make([]byte, (attrHeader+len(data)+3)&^3)
	binary.NativeEndian.PutUint16(b, uint16(attrHeader+len(data)))
	binary.NativeEndian.PutUint16(b[2:], typ)
	copy(b[attrHeader:], data)
	return b
}

func number(typ uint16, n uint32) []byte { return raw(typ, binary.BigEndian.AppendUint32(nil, n)) }

// TestUnknownAttributes: what a newer kernel says about a known expression makes
// the expression unknown, for it may change what the expression does.
func TestUnknownAttributes(t *testing.T) {
	numgen := slices.Concat(number(1, 8), number(2, 100), number(3, 1))
	numgen = slices.Clip(numgen)
	tests := []struct {
		name, expr string
		data       []byte
		want       string
	}{
		{"nothing new", "numgen", numgen, "numgen reg 8 = random mod 100"},
		{"new attribute", "numgen", append(numgen, number(77, 1)...), "attribute 77 is not known"},
		{"missing attribute", "numgen", number(1, 8), "missing"},
		{"wrong size", "numgen", append(raw(2, []byte{1}), number(1, 8)...), "has 1 bytes, want 4"},
		{"register that does not exist", "numgen", append(numgen, number(1, 5)...), "register 5"},
		{"register too far for the data", "cmp", append(append(number(1, 23), number(2, 0)...), raw(3, raw(1, make([]byte, 8)))...), "outside of the registers"},
		{"new operator", "cmp", append(append(number(1, 8), number(2, 9)...), raw(3, raw(1, make([]byte, 4)))...), "missing"},
		{"cut short", "cmp", []byte{9, 0, 1, 0, 1}, "cut short"},
		{"new expression", "magic", nil, "expression is not known"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := decodeExpr(append(raw(1, []byte(test.expr)), raw(2, test.data)...))
			if !strings.Contains(e.String(), test.want) {
				t.Errorf("expression = %q, want it to contain %q", e, test.want)
			}
			if _, unknown := e.(*Unknown); unknown == (test.name == "nothing new") {
				t.Errorf("unknown = %v", unknown)
			}
		})
	}
}
