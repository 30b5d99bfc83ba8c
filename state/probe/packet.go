package probe

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"time"
)

// packetSize is the size of every packet, question or answer, in bytes: an answer
// is never larger than the question, so nobody can have a node amplify anything.
//
//	 0  magic "weft"
//	 4  version
//	 5  kind: question or answer
//	 6  1 if the answer tells the CPU use
//	 7  0
//	 8  nonce of the question, random
//	16  question: the asker's clock, in nanoseconds since 1970; answer: 0
//	24  the first 8 bytes of SHA-256 of the answerer's name
//	32  how old the sample was when it was sent, in nanoseconds
//	40  CPU use as a ratio, IEEE 754
//	48  cores
//	52  how long the answerer had the question, in nanoseconds; 0 is not told
//	56  the first 16 bytes of HMAC-SHA256 of all before, or 0 without a key
//
// Numbers are in network byte order.
const (
	packetSize = signedSize + macSize
	signedSize = 56
	macSize    = 16
)

const (
	magic   = "weft"
	version = 1
)

type kind byte

const (
	question kind = 1
	answer   kind = 2
)

// packet is a packet without its signature.
type packet struct {
	kind  kind
	nonce uint64
	clock int64
	node  uint64 // hash of the answerer's name
	// The rest is of answers alone.
	hasUsage bool
	age      time.Duration
	ratio    float64
	cores    uint32
	held     time.Duration
}

// nodeHash names a node in a packet, so that the answer of a node that took
// over another's address is nobody's.
func nodeHash(name string) uint64 {
	sum := sha256.Sum256([]byte(name))
	return binary.BigEndian.Uint64(sum[:])
}

func (p *packet) marshal(key []byte) []byte {
	b := make([]byte, 0, packetSize)
	b = append(b, magic...)
	b = append(b, version, byte(p.kind), 0, 0)
	if p.hasUsage {
		b[6] = 1
	}
	b = binary.BigEndian.AppendUint64(b, p.nonce)
	b = binary.BigEndian.AppendUint64(b, uint64(p.clock))
	b = binary.BigEndian.AppendUint64(b, p.node)
	b = binary.BigEndian.AppendUint64(b, uint64(p.age))
	b = binary.BigEndian.AppendUint64(b, math.Float64bits(p.ratio))
	b = binary.BigEndian.AppendUint32(b, p.cores)
	b = binary.BigEndian.AppendUint32(b, uint32(p.held))
	return append(b, sign(b, key)...)
}

// sign is the signature of a packet; zeros without a key.
func sign(signed, key []byte) []byte {
	if key == nil {
		return make([]byte, macSize)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(signed)
	return mac.Sum(nil)[:macSize]
}

// isSigned reports whether one of the keys signed the packet, or nobody did if
// there is none.
func isSigned(b []byte, keys [][]byte) bool {
	signed, signature := b[:signedSize], b[signedSize:]
	if len(keys) == 0 {
		return hmac.Equal(signature, sign(signed, nil))
	}
	for _, key := range keys {
		if hmac.Equal(signature, sign(signed, key)) {
			return true
		}
	}
	return false
}

// isPacket reports whether b has the form of a packet of this version.
func isPacket(b []byte) bool {
	return len(b) == packetSize && string(b[:4]) == magic && b[4] == version
}

// unmarshal reads what isPacket took. What makes no sense as a CPU use is none.
func unmarshal(b []byte) packet {
	p := packet{
		kind:     kind(b[5]),
		nonce:    binary.BigEndian.Uint64(b[8:]),
		clock:    int64(binary.BigEndian.Uint64(b[16:])),
		node:     binary.BigEndian.Uint64(b[24:]),
		hasUsage: b[6] == 1,
		age:      time.Duration(binary.BigEndian.Uint64(b[32:])),
		ratio:    math.Float64frombits(binary.BigEndian.Uint64(b[40:])),
		cores:    binary.BigEndian.Uint32(b[48:]),
		held:     time.Duration(binary.BigEndian.Uint32(b[52:])),
	}
	if !(p.ratio >= 0 && p.ratio <= 1) || p.age < 0 || p.age > maxAge || p.cores > maxCores {
		p.hasUsage, p.age, p.ratio, p.cores = false, 0, 0, 0
	}
	return p
}

const (
	// maxAge is far beyond the age at which a sample is of use to anyone.
	maxAge = 24 * time.Hour
	// maxCores is what a state file takes.
	maxCores = 1 << 20
	// maxHeld is what there is room for: 4.3 s.
	maxHeld time.Duration = math.MaxUint32
)
