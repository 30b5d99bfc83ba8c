package nfnl

import "fmt"

func decodeNat(a *attrs) Expr {
	e := &Nat{Type: ^uint32(0)}
	for a.next() {
		switch a.typ {
		case 1:
			e.Type = a.u32()
		case 2:
			e.Family = Family(a.u32())
		case 3:
			e.AddrMin = a.reg()
		case 4:
			e.AddrMax = a.reg()
		case 5:
			e.ProtoMin = a.reg()
		case 6:
			e.ProtoMax = a.reg()
		case 7:
			e.Flags = a.u32()
		default:
			a.unknown()
		}
	}
	a.need(e.Type <= DNAT)
	if e.Flags&^natFlags != 0 {
		a.fail(fmt.Errorf("nat flags %#x", e.Flags))
	}
	a.natMemory(e)
	return e
}

// natFlags are all of NF_NAT_RANGE_*.
const natFlags = 0x7f

func (a *attrs) natMemory(e *Nat) {
	size := 4
	if e.Family == IPv6 {
		size = 16
	}
	for _, r := range []Register{e.AddrMin, e.AddrMax} {
		if r != 0 {
			a.needMemory(r, size)
		}
	}
	a.portMemory(e.ProtoMin, e.ProtoMax)
}

func (a *attrs) portMemory(regs ...Register) {
	for _, r := range regs {
		if r != 0 {
			a.needMemory(r, 2)
		}
	}
}

func decodeMasq(a *attrs) Expr {
	e := &Masq{}
	for a.next() {
		switch a.typ {
		case 1:
			e.Flags = a.u32()
		case 2:
			e.ProtoMin = a.reg()
		case 3:
			e.ProtoMax = a.reg()
		default:
			a.unknown()
		}
	}
	return e
}

func decodeRedir(a *attrs) Expr {
	e := &Redir{}
	for a.next() {
		switch a.typ {
		case 1:
			e.ProtoMin = a.reg()
		case 2:
			e.ProtoMax = a.reg()
		case 3:
			e.Flags = a.u32()
		default:
			a.unknown()
		}
	}
	return e
}

func decodeObjref(a *attrs) Expr {
	e := &Objref{}
	for a.next() {
		switch a.typ {
		case 1:
			e.Type = a.u32()
		case 2:
			e.Name = a.str()
		case 3:
			e.Sreg = a.reg()
		case 4:
			e.Set = a.str()
		case 5: // the set's id inside a transaction
		default:
			a.unknown()
		}
	}
	a.need(e.Name != "" || e.Set != "" && e.Sreg != 0)
	return e
}

func decodeLimit(a *attrs) Expr {
	e := &Limit{}
	for a.next() {
		switch a.typ {
		case 1:
			e.Rate = a.u64()
		case 2:
			e.Unit = a.u64()
		case 3:
			e.Burst = a.u32()
		case 4:
			e.Type = a.u32()
		case 5:
			e.Flags = a.u32()
		case 6: // padding
		default:
			a.unknown()
		}
	}
	return e
}

func decodeQuota(a *attrs) Expr {
	e := &Quota{}
	for a.next() {
		switch a.typ {
		case 1:
			e.Bytes = a.u64()
		case 2:
			e.Flags = a.u32()
		case 3: // padding
		case 4:
			e.Consumed = a.u64()
		default:
			a.unknown()
		}
	}
	return e
}

func decodeDynset(a *attrs) Expr {
	e := &Dynset{}
	for a.next() {
		switch a.typ {
		case 1:
			e.Set = a.str()
		case 3:
			e.Op = a.u32()
		case 4:
			e.Key = a.reg()
		case 5:
			e.Data = a.reg()
		case 6:
			e.Timeout = a.u64()
		case 7:
			e.Exprs = append(e.Exprs, decodeExpr(a.data))
		case 10:
			e.Exprs = append(e.Exprs, a.exprs(decodeExpr)...)
		case 2, 8: // the set's id inside a transaction, and padding
		case 9:
			if flags := a.u32(); flags > 3 {
				a.fail(fmt.Errorf("dynset flags %#x", flags))
			}
		default:
			a.unknown()
		}
	}
	a.need(e.Set != "" && e.Key != 0 && e.Op <= DynsetDelete)
	return e
}

func decodeReject(a *attrs) Expr {
	e := &Reject{}
	for a.next() {
		switch a.typ {
		case 1:
			e.Type = a.u32()
		case 2:
			e.Code = a.u8()
		default:
			a.unknown()
		}
	}
	return e
}

func decodeQueue(a *attrs) Expr {
	e := &Queue{}
	for a.next() {
		if a.typ == 1 {
			e.Num = a.u16()
		}
	}
	return e
}

// String is the unknown expression with the reason.
func (e *Unknown) String() string { return fmt.Sprintf("%s: %s", e.Name, e.Reason) }
