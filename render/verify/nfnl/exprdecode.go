package nfnl

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var errIncomplete = errors.New("an attribute that it needs is missing")

// exprs reads NFTA_LIST_ELEM after NFTA_LIST_ELEM.
func (a *attrs) exprs(decode func([]byte) Expr) []Expr {
	list := make([]Expr, 0, countAttrs(a.data))
	s := scan(a.data)
	for s.next() {
		list = append(list, decode(s.data))
	}
	if s.err != nil {
		list = append(list, &Unknown{Name: "list", Reason: s.err.Error()})
	}
	return list
}

func decodeExpr(b []byte) Expr {
	var name, data []byte
	a := scan(b)
	for a.next() {
		switch a.typ {
		case 1:
			name = a.bytes()
		case 2:
			data = a.data
		default:
			a.unknown()
		}
	}
	if a.err != nil {
		return &Unknown{Name: string(name), Reason: a.err.Error()}
	}
	s := scan(data)
	e := newExpr(name, s)
	if e == nil {
		return &Unknown{Name: string(name), Reason: "expression is not known"}
	}
	if s.err != nil {
		return &Unknown{Name: string(name), Reason: s.err.Error()}
	}
	return e
}

// newExpr decodes by name; nil is a name that is not known.
func newExpr(name []byte, a *attrs) Expr {
	switch string(name) {
	case "meta":
		return decodeMeta(a)
	case "payload":
		return decodePayload(a)
	case "cmp":
		return decodeCmp(a)
	case "range":
		return decodeRange(a)
	case "bitwise":
		return decodeBitwise(a)
	case "byteorder":
		return decodeByteorder(a)
	case "lookup":
		return decodeLookup(a)
	case "immediate":
		return decodeImmediate(a)
	case "numgen":
		return decodeNumgen(a)
	case "hash":
		return decodeHash(a)
	case "ct":
		return decodeCt(a)
	case "fib":
		return decodeFib(a)
	}
	return newStatement(name, a)
}

func newStatement(name []byte, a *attrs) Expr {
	switch string(name) {
	case "nat":
		return decodeNat(a)
	case "masq":
		return decodeMasq(a)
	case "redir":
		return decodeRedir(a)
	case "dynset":
		return decodeDynset(a)
	case "objref":
		return decodeObjref(a)
	case "limit":
		return decodeLimit(a)
	case "quota":
		return decodeQuota(a)
	case "reject":
		return decodeReject(a)
	case "queue":
		return decodeQueue(a)
	case "counter", "last":
		return decodeCounter(string(name), a)
	case "log":
		return decodeLog(a)
	case "notrack":
		return &Notrack{}
	}
	return nil
}

func decodeMeta(a *attrs) Expr {
	e := &Meta{Key: ^uint32(0)}
	for a.next() {
		switch a.typ {
		case 1:
			e.Dreg = a.reg()
		case 2:
			e.Key = a.u32()
		case 3:
			e.Sreg, e.Set = a.reg(), true
		default:
			a.unknown()
		}
	}
	a.need(e.Key != ^uint32(0) && (e.Set && e.Sreg != 0 || e.Dreg != 0))
	return e
}

// need fails unless what an expression cannot be without was there.
func (a *attrs) need(ok bool) {
	if !ok {
		a.fail(errIncomplete)
	}
}

// needMemory fails unless n bytes from a register on are register memory.
func (a *attrs) needMemory(r Register, n int) {
	if r == 0 || n < 0 || r.Offset()+n > registerMemory {
		a.fail(fmt.Errorf("%d bytes from register %d on are outside of the registers", n, r))
	}
}

// registerMemory is the size of all data registers in bytes.
const registerMemory = 64

func decodePayload(a *attrs) Expr {
	e := &Payload{}
	for a.next() {
		switch a.typ {
		case 1:
			e.Dreg = a.reg()
		case 2:
			e.Base = a.u32()
		case 3:
			e.Offset = a.u32()
		case 4:
			e.Len = a.u32()
		case 5:
			e.Sreg, e.Set = a.reg(), true
		case 6:
			e.csumType = a.u32()
		case 7:
			e.csumOffset = a.u32()
		case 8:
			e.csumFlags = a.u32()
		default:
			a.unknown()
		}
	}
	if !e.Set {
		a.need(e.Len > 0)
		a.needMemory(e.Dreg, int(e.Len))
	}
	return e
}

func decodeCmp(a *attrs) Expr {
	e := &Cmp{}
	for a.next() {
		switch a.typ {
		case 1:
			e.Sreg = a.reg()
		case 2:
			e.Op = a.u32()
		case 3:
			e.Data, _ = a.value()
		default:
			a.unknown()
		}
	}
	a.need(len(e.Data) > 0 && e.Op <= CmpGte)
	a.needMemory(e.Sreg, len(e.Data))
	return e
}

func decodeRange(a *attrs) Expr {
	e := &Range{}
	for a.next() {
		switch a.typ {
		case 1:
			e.Sreg = a.reg()
		case 2:
			e.Op = a.u32()
		case 3:
			e.From, _ = a.value()
		case 4:
			e.To, _ = a.value()
		default:
			a.unknown()
		}
	}
	a.need(len(e.From) > 0 && len(e.From) == len(e.To) && e.Op <= 1)
	a.needMemory(e.Sreg, len(e.From))
	return e
}

func decodeBitwise(a *attrs) Expr {
	e := &Bitwise{}
	for a.next() {
		switch a.typ {
		case 1:
			e.Sreg = a.reg()
		case 2:
			e.Dreg = a.reg()
		case 3:
			e.Len = a.u32()
		case 4:
			e.Mask, _ = a.value()
		case 5:
			e.Xor, _ = a.value()
		case 6:
			e.Op = a.u32()
		case 7:
			e.Data, _ = a.value()
		default:
			a.unknown()
		}
	}
	n := int(e.Len)
	a.need(n > 0 && e.Op <= BitwiseRightShift)
	if e.Op == BitwiseMaskXor {
		a.need(len(e.Mask) == n && len(e.Xor) == n)
	} else {
		a.need(len(e.Data) == 4 && n%4 == 0)
	}
	a.needMemory(e.Sreg, n)
	a.needMemory(e.Dreg, n)
	return e
}

// Shift is the number of bits that a shifting Bitwise shifts by.
func (e *Bitwise) Shift() uint32 { return binary.NativeEndian.Uint32(e.Data) }

func decodeByteorder(a *attrs) Expr {
	e := &Byteorder{}
	for a.next() {
		switch a.typ {
		case 1:
			e.Sreg = a.reg()
		case 2:
			e.Dreg = a.reg()
		case 3:
			e.Op = a.u32()
		case 4:
			e.Len = a.u32()
		case 5:
			e.Size = a.u32()
		default:
			a.unknown()
		}
	}
	a.need((e.Size == 2 || e.Size == 4 || e.Size == 8) && e.Len > 0 && e.Op <= 1)
	a.needMemory(e.Sreg, int(e.Len))
	a.needMemory(e.Dreg, int(e.Len))
	return e
}

func decodeLookup(a *attrs) Expr {
	e := &Lookup{}
	for a.next() {
		switch a.typ {
		case 1:
			e.Set = a.str()
		case 2:
			e.Sreg = a.reg()
		case 3:
			e.Dreg, e.Map = a.reg(), true
		case 4: // the set's id inside a transaction
		case 5:
			flags := a.u32()
			e.Invert = flags&1 != 0
			if flags > 1 {
				a.fail(fmt.Errorf("lookup flags %#x", flags))
			}
		default:
			a.unknown()
		}
	}
	a.need(e.Set != "" && e.Sreg != 0)
	return e
}

func decodeImmediate(a *attrs) Expr {
	e := &Immediate{}
	for a.next() {
		switch a.typ {
		case 1:
			e.Dreg = a.reg()
		case 2:
			e.Data, e.Verdict = a.value()
		default:
			a.unknown()
		}
	}
	a.need((e.Dreg == 0) == (e.Verdict != nil))
	if e.Verdict == nil {
		a.needMemory(e.Dreg, len(e.Data))
	}
	return e
}
