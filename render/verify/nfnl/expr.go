package nfnl

// Register is a register as the kernel numbers it: 0 the verdict, 1 to 4 of 16
// bytes, 8 to 23 of 4 bytes, both over the same memory.
type Register uint32

const (
	reg32First = 8
	reg32Last  = 23
)

// Offset is where the register begins in the 64 bytes of register memory.
func (r Register) Offset() int {
	if r >= reg32First {
		return int(r-reg32First) * 4
	}
	return (int(r) - 1) * 16
}

// Expr is one expression of a rule. Its String is what `nft --debug=netlink`
// writes between the brackets.
type Expr interface {
	String() string
}

// Unknown is an expression that could not be understood.
type Unknown struct {
	// Name is the expression's name, as the kernel gives it.
	Name string
	// Reason says what was not understood.
	Reason string
}

// Meta loads or sets meta data of the packet. Keys are NFT_META_*.
type Meta struct {
	Key uint32
	// Dreg is the destination of a load, Sreg the source of a set (Set is true).
	Dreg, Sreg Register
	Set        bool
}

// Payload bases (NFT_PAYLOAD_*).
const (
	LinkHeader uint32 = iota
	NetworkHeader
	TransportHeader
	InnerHeader
)

// Payload loads bytes of the packet, or writes them (Set is true).
type Payload struct {
	Base, Offset, Len uint32
	Dreg, Sreg        Register
	Set               bool

	csumType, csumOffset, csumFlags uint32
}

// Comparison operators (NFT_CMP_*).
const (
	CmpEq uint32 = iota
	CmpNeq
	CmpLt
	CmpLte
	CmpGt
	CmpGte
)

// Cmp compares a register with a constant, as memcmp does.
type Cmp struct {
	Sreg Register
	Op   uint32
	Data []byte
}

// Range compares a register with an inclusive range; Op is 0 for inside, 1 for outside.
type Range struct {
	Sreg     Register
	Op       uint32
	From, To []byte
}

// Operations of Bitwise (NFT_BITWISE_*).
const (
	BitwiseMaskXor uint32 = iota
	BitwiseLeftShift
	BitwiseRightShift
)

// Bitwise sets dreg to (sreg & Mask) ^ Xor, or shifts it by Data bits.
type Bitwise struct {
	Sreg, Dreg Register
	Len, Op    uint32
	Mask, Xor  []byte
	Data       []byte
}

// Byteorder changes the byte order of Len bytes in units of Size; Op is 0 for
// ntoh, 1 for hton.
type Byteorder struct {
	Sreg, Dreg    Register
	Op, Len, Size uint32
}

// Lookup looks a key up in a set or map.
type Lookup struct {
	Set  string
	Sreg Register
	// Dreg takes the data of a map (Map is true); 0 takes a verdict.
	Dreg   Register
	Map    bool
	Invert bool
}

// Immediate puts a constant or a verdict into a register.
type Immediate struct {
	Dreg    Register
	Data    []byte
	Verdict *Verdict
}

// Numgen draws a number in [Offset, Offset+Modulus).
type Numgen struct {
	Dreg            Register
	Modulus, Offset uint32
	// Random is false for the incremental generator.
	Random bool
}

// Hash types (NFT_HASH_*).
const (
	HashJenkins uint32 = iota
	HashSym
)

// Hash puts a hash in [Offset, Offset+Modulus) into a register.
type Hash struct {
	Sreg, Dreg      Register
	Len             uint32
	Modulus, Offset uint32
	Seed            uint32
	// Seeded is false when the kernel chose a seed of its own.
	Seeded bool
	Type   uint32
}

// Nat types (NFT_NAT_*).
const (
	SNAT uint32 = iota
	DNAT
)

// Nat range flags (NF_NAT_RANGE_*).
const (
	NatPersistent  uint32 = 1 << 3
	NatProtoOffset uint32 = 1 << 5
	NatNetmap      uint32 = 1 << 6
)

// Nat translates an address, a port or both. A register of 0 is absent.
type Nat struct {
	Type               uint32
	Family             Family
	AddrMin, AddrMax   Register
	ProtoMin, ProtoMax Register
	Flags              uint32
}

// Masq translates the source to an address of the outgoing interface.
type Masq struct {
	Flags              uint32
	ProtoMin, ProtoMax Register
}

// Redir translates the destination to the host itself.
type Redir struct {
	Flags              uint32
	ProtoMin, ProtoMax Register
}

// Ct loads or sets something of the connection. Keys are NFT_CT_*.
type Ct struct {
	Key        uint32
	Dreg, Sreg Register
	Set        bool
	// Direction is 0 original, 1 reply, where HasDirection.
	Direction    uint8
	HasDirection bool
}

// Fib looks the packet's addresses up in the routing table.
type Fib struct {
	Dreg Register
	// Result is NFT_FIB_RESULT_*, Flags are NFTA_FIB_F_*.
	Result, Flags uint32
}

// Objref uses a named object: by name, or by a lookup in an object map.
type Objref struct {
	Type uint32
	Name string
	// Set and Sreg are those of an object map.
	Set  string
	Sreg Register
}

// Limit matches packets below (Invert: over) a rate.
type Limit struct {
	Rate, Unit uint64
	Burst      uint32
	Type       uint32
	Flags      uint32
}

// Quota matches until (Invert flag: after) so many bytes passed.
type Quota struct {
	Bytes, Consumed uint64
	Flags           uint32
}

// Operations of Dynset (NFT_DYNSET_OP_*).
const (
	DynsetAdd uint32 = iota
	DynsetUpdate
	DynsetDelete
)

// Dynset changes a set by the packet. If the set is full, or one of Exprs does not
// match, the rule breaks off.
type Dynset struct {
	Set     string
	Op      uint32
	Key     Register
	Data    Register // 0 where the set is no map
	Timeout uint64   // milliseconds
	Exprs   []Expr
}

// Reject drops the packet with an answer.
type Reject struct {
	Type uint32
	Code uint8
}

// Queue hands the packet to a program.
type Queue struct{ Num uint16 }

// Passive is an expression that has no effect on where a packet goes: counter,
// log, last.
type Passive struct {
	Name string
	text string
}

// Notrack takes the packet out of connection tracking.
type Notrack struct{}
