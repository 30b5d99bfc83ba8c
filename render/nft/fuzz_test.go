package nft_test

import (
	"testing"

	"weft/render/nft"
)

// FuzzNotifications starts from what kernel 6.18 sent for the loading of a
// ruleset and its flush (testdata/fuzz).
func FuzzNotifications(f *testing.F) {
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, datagram []byte) {
		for _, table := range []string{"weft", ""} {
			err := nft.Decode(table, datagram, func(e nft.Event) {
				if len(e.Changes) == 0 && e.More == 0 || len(e.Changes) > 128 || e.More < 0 || e.String() == "" {
					t.Errorf("event %+v", e)
				}
				for _, c := range e.Changes {
					if table != "" && c.Table != table {
						t.Errorf("a change of table %q", c.Table)
					}
				}
			})
			if err != nil && len(datagram) == 0 {
				t.Error(err)
			}
		}
	})
}
