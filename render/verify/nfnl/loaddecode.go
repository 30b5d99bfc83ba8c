package nfnl

import (
	"fmt"
	"strconv"
)

func decodeNumgen(a *attrs) Expr {
	e := &Numgen{}
	for a.next() {
		switch a.typ {
		case 1:
			e.Dreg = a.reg()
		case 2:
			e.Modulus = a.u32()
		case 3:
			kind := a.u32()
			e.Random = kind == 1
			if kind > 1 {
				a.fail(fmt.Errorf("numgen type %d", kind))
			}
		case 4:
			e.Offset = a.u32()
		default:
			a.unknown()
		}
	}
	a.need(e.Modulus > 0 && e.Offset <= e.Offset+(e.Modulus-1))
	a.needMemory(e.Dreg, 4)
	return e
}

func decodeHash(a *attrs) Expr {
	e := &Hash{}
	for a.next() {
		switch a.typ {
		case 1:
			e.Sreg = a.reg()
		case 2:
			e.Dreg = a.reg()
		case 3:
			e.Len = a.u32()
		case 4:
			e.Modulus = a.u32()
		case 5:
			e.Seed, e.Seeded = a.u32(), true
		case 6:
			e.Offset = a.u32()
		case 7:
			e.Type = a.u32()
		default:
			a.unknown()
		}
	}
	a.need(e.Modulus > 0 && e.Offset <= e.Offset+(e.Modulus-1) && e.Type <= HashSym)
	a.needMemory(e.Dreg, 4)
	if e.Type == HashJenkins {
		a.need(e.Len > 0)
		a.needMemory(e.Sreg, int(e.Len))
	}
	return e
}

func decodeCt(a *attrs) Expr {
	e := &Ct{Key: ^uint32(0)}
	for a.next() {
		switch a.typ {
		case 1:
			e.Dreg = a.reg()
		case 2:
			e.Key = a.u32()
		case 3:
			e.Direction, e.HasDirection = a.u8(), true
		case 4:
			e.Sreg, e.Set = a.reg(), true
		default:
			a.unknown()
		}
	}
	a.need(e.Key != ^uint32(0) && (e.Set && e.Sreg != 0 || e.Dreg != 0) && e.Direction <= 1)
	return e
}

func decodeFib(a *attrs) Expr {
	e := &Fib{}
	for a.next() {
		switch a.typ {
		case 1:
			e.Dreg = a.reg()
		case 2:
			e.Result = a.u32()
		case 3:
			e.Flags = a.u32()
		default:
			a.unknown()
		}
	}
	a.need(e.Dreg != 0 && e.Result >= 1 && e.Result <= 3 && e.Flags < 0x40)
	return e
}

func decodeCounter(name string, a *attrs) Expr {
	var packets, bytes uint64
	for a.next() {
		switch {
		case name != "counter" || a.typ > 3:
		case a.typ == 1:
			bytes = a.u64()
		case a.typ == 2:
			packets = a.u64()
		}
	}
	if name != "counter" {
		return &Passive{Name: name, text: name}
	}
	return &Passive{Name: name, text: "counter pkts " + strconv.FormatUint(packets, 10) + " bytes " + strconv.FormatUint(bytes, 10)}
}

func decodeLog(a *attrs) Expr {
	text := "log"
	for a.next() {
		switch a.typ {
		case 2:
			text += " prefix " + a.str()
		case 5:
			text += fmt.Sprintf(" level %d", a.u32())
		}
	}
	return &Passive{Name: "log", text: text}
}
