package nfnl

import (
	"bytes"
	"context"
	"errors"

	"golang.org/x/sys/unix"
)

// Element reads the element with the key. A missing one is nil. The set must not
// be one of intervals, where the kernel gives the interval that holds the key.
func (c *Conn) Element(ctx context.Context, f Family, table, set string, key []byte) (*Element, error) {
	value := nested(unix.NFTA_SET_ELEM_KEY, encode(unix.NFTA_DATA_VALUE, key))
	filter := append(attribute(unix.NFTA_SET_ELEM_LIST_TABLE, table), attribute(unix.NFTA_SET_ELEM_LIST_SET, set)...)
	filter = append(filter, nested(unix.NFTA_SET_ELEM_LIST_ELEMENTS, nested(unix.NFTA_LIST_ELEM, value))...)
	var found *Element
	err := c.get(ctx, msgGetSetElem, f, filter, func(b []byte) error {
		_, _, elements, err := DecodeElements(bytes.Clone(b))
		for i := range elements {
			found = &elements[i]
		}
		return err
	})
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	return found, err
}
