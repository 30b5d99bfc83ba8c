package state

import (
	"bytes"
	"strings"
	"testing"
	"unsafe"

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

// TestScanKeepsNoText: one string that is a part of a document would keep all of it.
func TestScanKeepsNoText(t *testing.T) {
	st := explained()
	for _, p := range st.ServicePorts {
		text := strings.TrimPrefix(string(appendServicePort(nil, p)), plainMarker)
		got := scanServicePort(text, words{})
		if got == nil {
			t.Fatalf("not taken:\n%s", text)
		}
		kept := []string{got.Namespace, got.Name, got.Port, string(got.Protocol), string(got.Policy), string(got.Affinity), got.Skipped}
		for _, h := range got.Held {
			kept = append(kept, string(h))
		}
		for _, e := range got.Endpoints {
			kept = append(kept, e.Node)
		}
		for _, f := range got.Factors {
			kept = append(kept, f.Node)
		}
		for _, s := range kept {
			if isPart(s, text) {
				t.Errorf("%s: %q is a part of the text", p.ID(), s)
			}
		}
	}
}

// isPart reports whether a string lies in the memory of a text.
func isPart(s, text string) bool {
	at, begin := uintptr(unsafe.Pointer(unsafe.StringData(s))), uintptr(unsafe.Pointer(unsafe.StringData(text)))
	return s != "" && at >= begin && at < begin+uintptr(len(text))
}
