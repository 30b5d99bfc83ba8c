package nfnl

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// metaNames are NFT_META_* as libnftnl names them (src/expr/meta.c).
var metaNames = []string{
	"len", "protocol", "priority", "mark", "iif", "oif", "iifname", "oifname", "iiftype", "oiftype",
	"skuid", "skgid", "nftrace", "rtclassid", "secmark", "nfproto", "l4proto", "bri_iifname", "bri_oifname",
	"pkttype", "cpu", "iifgroup", "oifgroup", "cgroup", "prandom", "secpath", "iifkind", "oifkind", "ibrpvid", "ibrvproto",
	"time", "day", "hour", "sdif", "sdifname",
}

// ctNames are NFT_CT_* as libnftnl names them (src/expr/ct.c).
var ctNames = []string{
	"state", "direction", "status", "mark", "secmark", "expiration", "helper", "l3protocol", "src", "dst",
	"protocol", "proto_src", "proto_dst", "label", "packets", "bytes", "avgpkt", "zone", "event",
	"src_ip", "dst_ip", "src_ip6", "dst_ip6", "ct_id",
}

var (
	cmpNames     = []string{"eq", "neq", "lt", "lte", "gt", "gte"}
	payloadBases = []string{"link", "network", "transport", "inner"}
)

func name(names []string, key uint32) string {
	if int(key) < len(names) {
		return names[key]
	}
	return fmt.Sprintf("unknown %d", key)
}

// words writes register data as libnftnl does: 32-bit words of the host.
func words(b []byte) string {
	var s strings.Builder
	for i := 0; i < len(b); i += 4 {
		var w [4]byte
		copy(w[:], b[i:])
		fmt.Fprintf(&s, "0x%08x ", binary.NativeEndian.Uint32(w[:]))
	}
	return strings.TrimSuffix(s.String(), " ")
}

func (e *Meta) String() string {
	if e.Set {
		return fmt.Sprintf("meta set %s with reg %d", name(metaNames, e.Key), e.Sreg)
	}
	return fmt.Sprintf("meta load %s => reg %d", name(metaNames, e.Key), e.Dreg)
}

func (e *Payload) String() string {
	where := fmt.Sprintf("%db @ %s header + %d", e.Len, name(payloadBases, e.Base), e.Offset)
	if e.Set {
		return fmt.Sprintf("payload write reg %d => %s csum_type %d csum_off %d csum_flags 0x%x",
			e.Sreg, where, e.csumType, e.csumOffset, e.csumFlags)
	}
	return fmt.Sprintf("payload load %s => reg %d", where, e.Dreg)
}

func (e *Cmp) String() string {
	return fmt.Sprintf("cmp %s reg %d %s", name(cmpNames, e.Op), e.Sreg, words(e.Data))
}

func (e *Range) String() string {
	return fmt.Sprintf("range %s reg %d %s %s", name(cmpNames, e.Op), e.Sreg, words(e.From), words(e.To))
}

func (e *Bitwise) String() string {
	switch e.Op {
	case BitwiseLeftShift:
		return fmt.Sprintf("bitwise reg %d = ( reg %d << %s )", e.Dreg, e.Sreg, words(e.Data))
	case BitwiseRightShift:
		return fmt.Sprintf("bitwise reg %d = ( reg %d >> %s )", e.Dreg, e.Sreg, words(e.Data))
	}
	return fmt.Sprintf("bitwise reg %d = ( reg %d & %s ) ^ %s", e.Dreg, e.Sreg, words(e.Mask), words(e.Xor))
}

func (e *Byteorder) String() string {
	op := "ntoh"
	if e.Op == 1 {
		op = "hton"
	}
	return fmt.Sprintf("byteorder reg %d = %s(reg %d, %d, %d)", e.Dreg, op, e.Sreg, e.Size, e.Len)
}

func (e *Lookup) String() string {
	s := fmt.Sprintf("lookup reg %d set %s", e.Sreg, e.Set)
	if e.Map {
		s += fmt.Sprintf(" dreg %d", e.Dreg)
	}
	if e.Invert {
		s += " 0x1"
	}
	return s
}

func (e *Immediate) String() string {
	if e.Verdict != nil {
		return "immediate reg 0 " + e.Verdict.String()
	}
	return fmt.Sprintf("immediate reg %d %s", e.Dreg, words(e.Data))
}

func (e *Numgen) String() string {
	kind := "inc"
	if e.Random {
		kind = "random"
	}
	return fmt.Sprintf("numgen reg %d = %s mod %d", e.Dreg, kind, e.Modulus) + offset(e.Offset)
}

func offset(n uint32) string {
	if n == 0 {
		return ""
	}
	return " offset " + strconv.FormatUint(uint64(n), 10)
}

func (e *Hash) String() string {
	call := "symhash()"
	if e.Type == HashJenkins {
		call = fmt.Sprintf("jhash(reg %d, %d, 0x%x)", e.Sreg, e.Len, e.Seed)
	}
	return fmt.Sprintf("hash reg %d = %s %% mod %d", e.Dreg, call, e.Modulus) + offset(e.Offset)
}

func (e *Nat) String() string {
	kind := "snat"
	if e.Type == DNAT {
		kind = "dnat"
	}
	s := "nat " + kind + " " + e.Family.String()
	s += register("addr_min", e.AddrMin) + register("addr_max", e.AddrMax)
	s += register("proto_min", e.ProtoMin) + register("proto_max", e.ProtoMax)
	return s + flags(e.Flags)
}

func register(name string, r Register) string {
	if r == 0 {
		return ""
	}
	return fmt.Sprintf(" %s reg %d", name, r)
}

func flags(f uint32) string {
	if f == 0 {
		return ""
	}
	return fmt.Sprintf(" flags 0x%x", f)
}

func (e *Masq) String() string {
	return "masq" + register("proto_min", e.ProtoMin) + register("proto_max", e.ProtoMax) + flags(e.Flags)
}

func (e *Redir) String() string {
	return "redir" + register("proto_min", e.ProtoMin) + register("proto_max", e.ProtoMax) + flags(e.Flags)
}

func (e *Ct) String() string {
	if e.Set {
		return fmt.Sprintf("ct set %s with reg %d", name(ctNames, e.Key), e.Sreg) + e.direction()
	}
	return fmt.Sprintf("ct load %s => reg %d", name(ctNames, e.Key), e.Dreg) + e.direction()
}

func (e *Ct) direction() string {
	switch {
	case !e.HasDirection:
		return ""
	case e.Direction == 0:
		return " , dir original"
	}
	return " , dir reply"
}

func (e *Fib) String() string {
	s := "fib"
	for i, n := range []string{"saddr", "daddr", "mark", "iif", "oif"} {
		if e.Flags&(1<<i) != 0 {
			s += " " + n
			if e.Flags&0x1f>>(i+1) != 0 {
				s += " ."
			}
		}
	}
	result := []string{"", "oif", "oifname", "type"}[e.Result&3]
	if e.Flags&0x20 != 0 {
		result += " present"
	}
	return fmt.Sprintf("%s %s => reg %d", s, result, e.Dreg)
}

func (e *Objref) String() string {
	if e.Set != "" {
		return fmt.Sprintf("objref sreg %d set %s", e.Sreg, e.Set)
	}
	return fmt.Sprintf("objref type %d name %s", e.Type, e.Name)
}

func (e *Limit) String() string {
	unit := map[uint64]string{1: "second", 60: "minute", 3600: "hour", 86400: "day", 604800: "week"}[e.Unit]
	kind := "packets"
	if e.Type == 1 {
		kind = "bytes"
	}
	return fmt.Sprintf("limit rate %d/%s burst %d type %s flags 0x%x", e.Rate, unit, e.Burst, kind, e.Flags)
}

func (e *Quota) String() string {
	return fmt.Sprintf("quota bytes %d consumed %d flags %d", e.Bytes, e.Consumed, e.Flags)
}

func (e *Dynset) String() string {
	op := []string{"add", "update", "delete"}[e.Op]
	s := fmt.Sprintf("dynset %s reg_key %d set %s", op, e.Key, e.Set)
	if e.Data != 0 {
		s += fmt.Sprintf(" sreg_data %d", e.Data)
	}
	s += fmt.Sprintf(" timeout %dms", e.Timeout)
	for _, x := range e.Exprs {
		s += " expr [ " + x.String() + " ]"
	}
	return s
}

func (e *Reject) String() string { return fmt.Sprintf("reject type %d code %d", e.Type, e.Code) }

func (e *Queue) String() string { return fmt.Sprintf("queue num %d", e.Num) }

func (e *Passive) String() string { return e.text }

func (*Notrack) String() string { return "notrack" }

// MetaName is the name of a key of Meta.
func MetaName(key uint32) string { return name(metaNames, key) }

// CtName is the name of a key of Ct.
func CtName(key uint32) string { return name(ctNames, key) }
