package verify

import (
	"testing"

	"weft/render/verify/nfnl"
)

// TestExpiredElementsAreAbsent: a kernel may still list an element whose time is
// over, which lookups no longer find.
func TestExpiredElementsAreAbsent(t *testing.T) {
	s := newSet(&nfnl.Set{Name: "s", KeyLen: 2}, []nfnl.Element{
		{Key: []byte{0, 1}, Timeout: 1000, HasExpiration: true},
		{Key: []byte{0, 2}, Timeout: 1000, HasExpiration: true, Expiration: 1},
		{Key: []byte{0, 3}},
	})
	s.prepare()
	for key, found := range map[byte]bool{1: false, 2: true, 3: true, 4: false} {
		if got := s.find([]byte{0, key}) != none; got != found {
			t.Errorf("element %d found = %v, want %v", key, got, found)
		}
	}
}
