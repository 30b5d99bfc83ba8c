package nfnl

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// header is struct nfgenmsg: family, version, resource id.
const header = 4

var errShort = errors.New("message is shorter than its header")

func family(b []byte) (Family, *attrs, error) {
	if len(b) < header {
		return 0, nil, errShort
	}
	return Family(b[0]), scan(b[header:]), nil
}

// DecodeTable decodes the payload of NFT_MSG_NEWTABLE.
func DecodeTable(b []byte) (Table, error) {
	f, a, err := family(b)
	if err != nil {
		return Table{}, err
	}
	t := Table{Family: f}
	for a.next() {
		switch a.typ {
		case 1:
			t.Name = a.str()
		case 2:
			t.Flags = a.u32()
		case 4:
			t.Handle = a.u64()
		}
	}
	return t, a.err
}

// DecodeChain decodes the payload of NFT_MSG_NEWCHAIN.
func DecodeChain(b []byte) (Chain, error) {
	f, a, err := family(b)
	if err != nil {
		return Chain{}, err
	}
	c := Chain{Family: f}
	for a.next() {
		switch a.typ {
		case 1:
			c.Table = a.str()
		case 2:
			c.Handle = a.u64()
		case 3:
			c.Name = a.str()
		case 4:
			c.Hook = a.hook()
		case 5:
			c.Policy = int32(a.u32())
		case 6:
			c.Use = a.u32()
		case 7:
			c.Type = a.str()
		case 10:
			c.Flags = a.u32()
		}
	}
	return c, a.err
}

func (a *attrs) hook() *Hook {
	h := &Hook{}
	s := scan(a.data)
	for s.next() {
		switch s.typ {
		case 1:
			h.Number = s.u32()
		case 2:
			h.Priority = int32(s.u32())
		case 3:
			h.Devices = append(h.Devices, s.str())
		case 4:
			for d := scan(s.data); d.next(); {
				h.Devices = append(h.Devices, d.str())
			}
		default:
			s.unknown()
		}
	}
	if s.err != nil {
		a.fail(s.err)
	}
	return h
}

// RuleDecoder decodes rules. Rules come chain by chain, so it keeps the names
// of the last one instead of making a string for each. And most expressions of a
// large table say the same as others: each is decoded once and shared, which takes
// a third of the memory. What it gives does not refer to what it is given.
type RuleDecoder struct {
	table, chain string
	exprs        map[string]Expr
	comments     map[string]string
}

// Decode decodes the payload of NFT_MSG_NEWRULE.
func (d *RuleDecoder) Decode(b []byte) (*Rule, error) {
	f, a, err := family(b)
	if err != nil {
		return nil, err
	}
	r := &Rule{Family: f}
	for a.next() {
		switch a.typ {
		case 1:
			r.Table = keep(&d.table, a.bytes())
		case 2:
			r.Chain = keep(&d.chain, a.bytes())
		case 3:
			r.Handle = a.u64()
		case 4:
			r.Exprs = a.exprs(d.expr)
		case 7:
			r.Comment = d.comment(a.data)
		case 6, 8, 9, 10, 11: // position, padding and ids say nothing about packets
		default:
			r.Unknown = fmt.Sprintf("rule attribute %d", a.typ)
		}
	}
	return r, a.err
}

// into decodes rules of a table to the end of a list.
func (d *RuleDecoder) into(list *[]*Rule, table string) func([]byte) error {
	return func(b []byte) error {
		rule, err := d.Decode(b)
		if err == nil && rule.Table == table {
			*list = append(*list, rule)
		}
		return err
	}
}

// forget forgets all expressions and comments if there are more than some.
func (d *RuleDecoder) forget(more int) {
	if len(d.exprs) > more || len(d.comments) > more {
		*d = RuleDecoder{}
	}
}

// expr is the expression of some bytes. Most of those that are there only once are
// addresses and ports of endpoints, of which the data alone are kept.
func (d *RuleDecoder) expr(b []byte) Expr {
	if e := d.exprs[string(b)]; e != nil {
		return e
	}
	if d.exprs == nil {
		d.exprs = map[string]Expr{}
	}
	e := decodeExpr(b)
	if constant, ok := e.(*Immediate); ok {
		constant.Data = bytes.Clone(constant.Data)
	} else {
		e = decodeExpr(bytes.Clone(b))
	}
	d.exprs[string(b)] = e
	return e
}

func (d *RuleDecoder) comment(b []byte) string {
	c, ok := d.comments[string(b)]
	if !ok {
		if d.comments == nil {
			d.comments = map[string]string{}
		}
		c = Comment(b)
		d.comments[string(b)] = c
	}
	return c
}

func keep(last *string, b []byte) string {
	if *last != string(b) {
		*last = string(b)
	}
	return *last
}

// Comment finds the comment in nft's user data of a rule or an element: a list of type,
// length, value, where type 0 is the comment (libnftnl/udata.h). It is empty if there is
// none.
func Comment(b []byte) string {
	for len(b) >= 2 {
		n := int(b[1])
		if 2+n > len(b) {
			return ""
		}
		if b[0] == 0 {
			return string(trimString(b[2 : 2+n]))
		}
		b = b[2+n:]
	}
	return ""
}

// DecodeSet decodes the payload of NFT_MSG_NEWSET.
func DecodeSet(b []byte) (*Set, error) {
	f, a, err := family(b)
	if err != nil {
		return nil, err
	}
	s := &Set{Family: f}
	for a.next() {
		s.attribute(a)
	}
	if s.Flags&^setKnown != 0 {
		s.Unknown = fmt.Sprintf("set flags %#x", s.Flags&^setKnown)
	}
	return s, a.err
}

func (s *Set) attribute(a *attrs) {
	switch a.typ {
	case 1:
		s.Table = a.str()
	case 2:
		s.Name = a.str()
	case 3:
		s.Flags = a.u32()
	case 4:
		s.KeyType = a.u32()
	case 5:
		s.KeyLen = a.u32()
	case 6:
		s.DataType = a.u32()
	case 7:
		s.DataLen = a.u32()
	case 9:
		s.Fields = a.fields()
	case 15:
		s.ObjType = a.u32()
	case 16:
		s.Handle = a.u64()
	case 17:
		s.Exprs = append(s.Exprs, decodeExpr(a.data))
	case 18:
		s.Exprs = append(s.Exprs, a.exprs(decodeExpr)...)
	case 8, 10, 11, 12, 13, 14, 19, 20: // policy, id, timeouts, user data, padding, type, count
	default:
		s.Unknown = fmt.Sprintf("set attribute %d", a.typ)
	}
}

func (a *attrs) fields() []uint32 {
	var fields []uint32
	for desc := scan(a.data); desc.next(); {
		if desc.typ != 2 {
			continue // the size
		}
		for list := scan(desc.data); list.next(); {
			for f := scan(list.data); f.next(); {
				if f.typ == 1 {
					fields = append(fields, f.u32())
				}
			}
		}
	}
	return fields
}

// DecodeElements decodes the payload of NFT_MSG_NEWSETELEM.
func DecodeElements(b []byte) (table, set string, elements []Element, err error) {
	_, a, err := family(b)
	if err != nil {
		return "", "", nil, err
	}
	for a.next() {
		switch a.typ {
		case 1:
			table = a.str()
		case 2:
			set = a.str()
		case 3:
			elements = slices.Grow(elements, countAttrs(a.data))
			list := scan(a.data)
			for list.next() {
				elements = append(elements, decodeElement(list.data))
			}
			if list.err != nil {
				a.fail(list.err)
			}
		}
	}
	return table, set, elements, a.err
}

func decodeElement(b []byte) Element {
	var e Element
	a := scan(b)
	for a.next() {
		e.attribute(a)
	}
	if a.err != nil {
		e.Unknown = "element: " + a.err.Error()
	}
	return e
}

func (e *Element) attribute(a *attrs) {
	switch a.typ {
	case 1:
		e.Key, _ = a.value()
	case 2:
		e.Data, e.Verdict = a.value()
	case 3:
		flags := a.u32()
		e.End, e.CatchAll = flags&1 != 0, flags&2 != 0
		if flags > 3 {
			e.Unknown = fmt.Sprintf("element flags %#x", flags)
		}
	case 4:
		e.Timeout = a.u64()
	case 5:
		e.Expiration, e.HasExpiration = a.u64(), true
	case 6:
		e.Comment = Comment(a.data)
	case 7:
		e.Exprs = append(e.Exprs, decodeExpr(a.data))
	case 8: // padding
	case 9:
		e.Object = a.str()
	case 10:
		e.KeyEnd, _ = a.value()
	case 11:
		e.Exprs = append(e.Exprs, a.exprs(decodeExpr)...)
	default:
		a.unknown()
	}
}
