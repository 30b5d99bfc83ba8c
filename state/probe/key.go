package probe

import (
	"bytes"
	"errors"
	"fmt"
)

// leastKey is how long a key must be, in bytes.
const leastKey = 16

// ParseKeys reads a key file: a key on each line, the one that signs first. Blanks
// around a key and empty lines do not count. A key has at least 16 bytes.
func ParseKeys(text []byte) ([][]byte, error) {
	var keys [][]byte
	for i, line := range bytes.Split(text, []byte("\n")) {
		key := bytes.TrimSpace(line)
		switch {
		case len(key) == 0:
		case len(key) < leastKey:
			return nil, fmt.Errorf("line %d: got a key of %d bytes, expected at least %d", i+1, len(key), leastKey)
		default:
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no key in it, expected one on each line")
	}
	return keys, nil
}
