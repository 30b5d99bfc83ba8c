package traffic

import (
	"golang.org/x/net/bpf"
)

// Extensions of the kernel's packet filter that x/net/bpf has no names for:
// SKF_AD_NLATTR looks for an attribute of the type in X from offset A on, and
// SKF_AD_NLATTR_NEST among those inside the attribute at offset A. Both give its
// offset, or 0 (uapi/linux/filter.h).
const (
	extAttribute bpf.Extension = 12
	extNested    bpf.Extension = 16
)

// filter makes the kernel drop, before they are copied to the socket, notifications
// that are not about translated connections to ports from lowest to highest. It is
// no more than a saving: [readOpening] looks at everything once more.
func filter(lowest, highest uint16) []bpf.RawInstruction {
	var p program
	p.attribute(attrStatus)
	p.load(4)
	p.require(bpf.JumpBitsSet, statusDNAT)
	p.attribute(attrTupleOrig)
	p.nested(attrTupleProto)
	p.nested(attrDestPort)
	p.load(2)
	p.require(bpf.JumpGreaterOrEqual, uint32(lowest))
	p.require(bpf.JumpLessOrEqual, uint32(highest))
	raw, err := bpf.Assemble(append(p, bpf.RetConstant{Val: whole}))
	if err != nil {
		return nil // there is nothing in it that changes, so the tests would see it
	}
	return raw
}

// whole is more than any message has.
const whole = 1 << 18

// program is a filter in the making.
type program []bpf.Instruction

func (p *program) add(code ...bpf.Instruction) { *p = append(*p, code...) }

// attribute looks for an attribute of the message. Its offset is in A then.
func (p *program) attribute(typ uint32) {
	p.add(bpf.LoadConstant{Dst: bpf.RegA, Val: messageHeader + familyHeader})
	p.find(extAttribute, typ)
}

// nested looks for one inside the attribute at offset A.
func (p *program) nested(typ uint32) { p.find(extNested, typ) }

func (p *program) find(by bpf.Extension, typ uint32) {
	p.add(bpf.LoadConstant{Dst: bpf.RegX, Val: typ}, bpf.LoadExtension{Num: by})
	p.require(bpf.JumpNotEqual, 0)
}

// load takes the value of the attribute at offset A into A.
func (p *program) load(size int) {
	p.add(bpf.TAX{}, bpf.LoadIndirect{Off: attributeHeader, Size: size})
}

// require drops the message unless something holds for A.
func (p *program) require(cond bpf.JumpTest, v uint32) {
	p.add(bpf.JumpIf{Cond: cond, Val: v, SkipTrue: 1}, bpf.RetConstant{Val: 0})
}
