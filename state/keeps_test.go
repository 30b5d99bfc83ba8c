package state

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDecodeKeepsNoText: the memory of a file can take the next one as soon as it
// was decoded, whatever way it was read.
func TestDecodeKeepsNoText(t *testing.T) {
	for name, text := range map[string][]byte{
		"quick":  must[[]byte](t)(Encode(explained())),
		"strict": append(must[[]byte](t)(Encode(explained())), "# a comment\n"...),
	} {
		t.Run(name, func(t *testing.T) {
			var d Decoder
			first := must[*State](t)(d.Decode("f", bytes.Clone(text)))
			memory := bytes.Clone(text)
			again := must[*State](t)(d.Decode("f", memory))
			clear(memory)
			if diff := cmp.Diff(first, again, options); diff != "" {
				t.Error(diff)
			}
			if third := must[*State](t)(d.Decode("f", text)); third.ServicePorts[0] != first.ServicePorts[0] {
				t.Error("a document that did not change was parsed again")
			}
		})
	}
}
