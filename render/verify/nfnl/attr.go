package nfnl

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var errTruncated = errors.New("attribute is cut short")

// attrs walks netlink attributes without copying them.
type attrs struct {
	rest []byte
	typ  uint16
	data []byte
	err  error
}

// Length of an attribute's header and the flags in its type (linux/netlink.h).
const (
	attrHeader = 4
	attrType   = 0x3fff
)

func scan(b []byte) *attrs { return &attrs{rest: b} }

// countAttrs is how many attributes there are up to one that is cut short.
func countAttrs(b []byte) int {
	n := 0
	for s := scan(b); s.next(); {
		n++
	}
	return n
}

func (a *attrs) next() bool {
	if a.err != nil || len(a.rest) == 0 {
		return false
	}
	if len(a.rest) < attrHeader {
		a.err = errTruncated
		return false
	}
	n := int(binary.NativeEndian.Uint16(a.rest))
	if n < attrHeader || n > len(a.rest) {
		a.err = errTruncated
		return false
	}
	a.typ = binary.NativeEndian.Uint16(a.rest[2:]) & attrType
	a.data = a.rest[attrHeader:n]
	a.rest = a.rest[min((n+3)&^3, len(a.rest)):]
	return true
}

func (a *attrs) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

// unknown notes an attribute that nobody here understands.
func (a *attrs) unknown() { a.fail(fmt.Errorf("attribute %d is not known", a.typ)) }

func (a *attrs) u8() uint8 {
	if len(a.data) != 1 {
		a.fail(fmt.Errorf("attribute %d has %d bytes, want 1", a.typ, len(a.data)))
		return 0
	}
	return a.data[0]
}

func (a *attrs) u16() uint16 {
	if len(a.data) != 2 {
		a.fail(fmt.Errorf("attribute %d has %d bytes, want 2", a.typ, len(a.data)))
		return 0
	}
	return binary.BigEndian.Uint16(a.data)
}

func (a *attrs) u32() uint32 {
	if len(a.data) != 4 {
		a.fail(fmt.Errorf("attribute %d has %d bytes, want 4", a.typ, len(a.data)))
		return 0
	}
	return binary.BigEndian.Uint32(a.data)
}

func (a *attrs) u64() uint64 {
	if len(a.data) != 8 {
		a.fail(fmt.Errorf("attribute %d has %d bytes, want 8", a.typ, len(a.data)))
		return 0
	}
	return binary.BigEndian.Uint64(a.data)
}

func (a *attrs) reg() Register {
	n := a.u32()
	if n > 4 && n < reg32First || n > reg32Last {
		a.fail(fmt.Errorf("register %d does not exist", n))
		return 0
	}
	return Register(n)
}

func (a *attrs) bytes() []byte { return trimString(a.data) }

func (a *attrs) str() string { return string(trimString(a.data)) }

// trimString takes the terminating NUL away.
func trimString(b []byte) []byte {
	for i, c := range b {
		if c == 0 {
			return b[:i]
		}
	}
	return b
}

// value reads NFTA_DATA_*: a value or a verdict.
func (a *attrs) value() ([]byte, *Verdict) {
	var (
		data    []byte
		verdict *Verdict
	)
	s := scan(a.data)
	for s.next() {
		switch s.typ {
		case 1:
			data = s.data
		case 2:
			verdict = s.verdict()
		default:
			s.unknown()
		}
	}
	if data == nil && verdict == nil {
		s.fail(errors.New("data is empty"))
	}
	if s.err != nil {
		a.fail(s.err)
	}
	return data, verdict
}

func (a *attrs) verdict() *Verdict {
	v := &Verdict{}
	s := scan(a.data)
	for s.next() {
		switch s.typ {
		case 1:
			v.Code = int32(s.u32())
		case 2:
			v.Chain = s.str()
		default:
			s.unknown()
		}
	}
	if s.err != nil {
		a.fail(s.err)
	}
	return v
}
