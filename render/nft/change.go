package nft

import (
	"golang.org/x/sys/unix"

	"weft/render/verify/nfnl"
)

// Attributes and message types of linux/netfilter/nf_tables.h that package unix
// does not name.
const (
	attrTable     = 1
	attrName      = 2 // of most objects
	attrRuleChain = 2

	msgDestroyTable     = 0x1a
	msgDestroyChain     = 0x1b
	msgDestroyRule      = 0x1c
	msgDestroySet       = 0x1d
	msgDestroyElement   = 0x1e
	msgDestroyObject    = 0x1f
	msgDestroyFlowtable = 0x20
)

// meaning is what a type of notification says.
type meaning struct {
	kind    Kind
	deleted bool
	name    uint16 // the attribute with the object's name
}

var meanings = map[uint8]meaning{
	unix.NFT_MSG_NEWTABLE:     {Table, false, attrTable},
	unix.NFT_MSG_DELTABLE:     {Table, true, attrTable},
	msgDestroyTable:           {Table, true, attrTable},
	unix.NFT_MSG_NEWCHAIN:     {Chain, false, unix.NFTA_CHAIN_NAME},
	unix.NFT_MSG_DELCHAIN:     {Chain, true, unix.NFTA_CHAIN_NAME},
	msgDestroyChain:           {Chain, true, unix.NFTA_CHAIN_NAME},
	unix.NFT_MSG_NEWRULE:      {Rule, false, attrRuleChain},
	unix.NFT_MSG_DELRULE:      {Rule, true, attrRuleChain},
	msgDestroyRule:            {Rule, true, attrRuleChain},
	unix.NFT_MSG_NEWSET:       {Set, false, attrName},
	unix.NFT_MSG_DELSET:       {Set, true, attrName},
	msgDestroySet:             {Set, true, attrName},
	unix.NFT_MSG_NEWSETELEM:   {Element, false, unix.NFTA_SET_ELEM_LIST_SET},
	unix.NFT_MSG_DELSETELEM:   {Element, true, unix.NFTA_SET_ELEM_LIST_SET},
	msgDestroyElement:         {Element, true, unix.NFTA_SET_ELEM_LIST_SET},
	unix.NFT_MSG_NEWOBJ:       {Object, false, attrName},
	unix.NFT_MSG_DELOBJ:       {Object, true, attrName},
	msgDestroyObject:          {Object, true, attrName},
	unix.NFT_MSG_NEWFLOWTABLE: {Flowtable, false, attrName},
	unix.NFT_MSG_DELFLOWTABLE: {Flowtable, true, attrName},
	msgDestroyFlowtable:       {Flowtable, true, attrName},
}

// changes decodes at most limit changes of a notification about our table.
func changes(m message, limit int) []Change {
	if limit <= 0 {
		return nil
	}
	means, known := meanings[m.kind()]
	if !known {
		means = meaning{Other, false, attrName}
	}
	c := Change{
		Deleted: means.deleted,
		Kind:    means.kind,
		Family:  m.family(),
		Table:   text(m.attribute(attrTable)),
		Name:    text(m.attribute(means.name)),
	}
	switch c.Kind {
	case Rule:
		c.Handle = number(m.attribute(unix.NFTA_RULE_HANDLE))
		c.Comment = nfnl.Comment(m.attribute(unix.NFTA_RULE_USERDATA)) // its expressions are nothing to tell
	case Element:
		return elements(m, c, limit)
	}
	return []Change{c}
}

// elements is a change for each element of a notification; one without a key if
// they cannot be read.
func elements(m message, c Change, limit int) []Change {
	_, _, list, err := nfnl.DecodeElements(m.Data)
	if err != nil || len(list) == 0 {
		return []Change{c}
	}
	made := make([]Change, 0, len(list))
	for _, e := range list[:min(len(list), limit)] {
		c.Key, c.Comment = append([]byte(nil), e.Key...), e.Comment
		made = append(made, c)
	}
	return made
}

// count is how many changes a notification tells.
func count(m message) (n int) {
	if meanings[m.kind()].kind != Element {
		return 1
	}
	for list := m.attribute(unix.NFTA_SET_ELEM_LIST_ELEMENTS); len(list) > 0; n++ {
		_, _, list = cutAttribute(list)
	}
	return max(n, 1)
}
