package apply

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"

	"weft/render/ruleset"
	"weft/render/verify"
)

// edits are changes in the words of a ruleset; false if nft has no words for one
// of them, so that the tables must be replaced.
func edits(rs *ruleset.Ruleset, changes []verify.Change) ([]ruleset.Edit, bool) {
	var list []ruleset.Edit
	for _, c := range changes {
		e := ruleset.Edit{Family: c.Table.Family.String(), Table: c.Table.Name, Chain: c.Chain, Set: c.Set, Gone: c.Gone, Map: c.Map}
		if c.Head {
			return nil, false
		}
		if c.Key != nil {
			var ok bool
			if e.Key, ok = keyText(keyType(rs, e), c.Key); !ok {
				return nil, false
			}
		}
		if c.Set != "" && c.Key == nil && !c.Gone && keyType(rs, e) != "" {
			return nil, false // deleted and made anew: what it holds is not known
		}
		list = append(list, e)
	}
	return list, true
}

// keyType is the type of a set's keys, as the ruleset has it; empty if it does not
// have the set.
func keyType(rs *ruleset.Ruleset, e ruleset.Edit) string {
	for _, t := range rs.Tables {
		if t.Family != e.Family || t.Name != e.Table {
			continue
		}
		for _, s := range t.Sets {
			if s.Name == e.Set && !s.Typeof {
				return s.Key
			}
		}
	}
	return ""
}

// keyText writes a key as templates do, for the types that those of NodePorts
// have. Fields of a concatenation begin at multiples of four bytes.
func keyText(types string, key []byte) (string, bool) {
	var fields []string
	for name := range strings.SplitSeq(types, " . ") {
		size, write := fieldWriter(name)
		if write == nil || len(key) < size {
			return "", false
		}
		fields = append(fields, write(key[:size]))
		key = key[min((size+3)&^3, len(key)):]
	}
	return strings.Join(fields, " . "), len(key) == 0
}

func fieldWriter(name string) (size int, write func([]byte) string) {
	address := func(b []byte) string {
		a, _ := netip.AddrFromSlice(b) // of 4 or 16 bytes: always one
		return a.String()
	}
	switch name {
	case "inet_proto":
		return 1, protocolName
	case "inet_service":
		return 2, func(b []byte) string { return strconv.Itoa(int(binary.BigEndian.Uint16(b))) }
	case "ipv4_addr":
		return 4, address
	case "ipv6_addr":
		return 16, address
	}
	return 0, nil
}

func protocolName(b []byte) string {
	switch b[0] {
	case 6:
		return "tcp"
	case 17:
		return "udp"
	case 132:
		return "sctp"
	}
	return strconv.Itoa(int(b[0]))
}
