package state

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-multierror"

	"weft/state/fingerprint"
	"weft/state/strict"
)

// Every testdata/invalid-*.yaml is refused with exactly the message beside it.
func TestDecodeInvalid(t *testing.T) {
	files, err := filepath.Glob("testdata/invalid-*.yaml")
	if err != nil || len(files) < 50 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Decode("state.yaml", data)
			if err == nil || s != nil {
				t.Fatalf("got %v %v, want it refused", s, err)
			}
			golden := strings.TrimSuffix(path, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, _ := os.ReadFile(golden)
			if diff := cmp.Diff(string(want), err.Error()+"\n"); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
			isMultierror(t, err)
		})
	}
}

func isMultierror(t *testing.T, err error) {
	t.Helper()
	all, ok := err.(*multierror.Error)
	if !ok {
		t.Fatalf("got a %T, want a *multierror.Error", err)
	}
	for _, err := range all.Errors {
		var p *strict.Problem
		if !errors.As(err, &p) || p.Line == 0 {
			t.Errorf("got %#v, want a *strict.Problem with a line", err)
		}
	}
}

// A file that stops at any byte is refused, or says the same as the whole: only
// a last line that the encoder wrote for nothing could be missing.
func TestDecodeCutAnywhere(t *testing.T) {
	data, err := Encode(example())
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(data) {
		if _, err := Decode("state.yaml", data[:n]); err == nil {
			t.Errorf("cut after %d of %d bytes, it is taken:\n%s", n, len(data), data[:n])
		}
	}
}

// What people write by hand in another form means the same.
func TestDecodeByHand(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "by-hand.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode("by-hand.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(example(), got, options); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	crlf, err := Decode("by-hand.yaml", bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n")))
	if diff := cmp.Diff(got, crlf, options); err != nil || diff != "" {
		t.Errorf("with CRLF: %v (-want +got):\n%s", err, diff)
	}
}

// TestDecodeFirst reads a file of the first weft, which knew fewer fields.
func TestDecodeFirst(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "as-first-written.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	st, err := Decode("as-first-written.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	if len(st.ServicePorts) != 4 || len(st.Addresses) != 2 || st.Generation != 7 {
		t.Errorf("got %d ServicePorts, %d addresses, generation %d", len(st.ServicePorts), len(st.Addresses), st.Generation)
	}
}

// A document of which only other parts changed comes back with the endpoints that it
// had, which others hold already.
func TestDecoderKeepsEndpoints(t *testing.T) {
	s := large(100, 3)
	var d Decoder
	first := must[*State](t)(d.Decode("f", must[[]byte](t)(Encode(s))))
	next := *s
	next.ServicePorts = nil
	for _, p := range s.ServicePorts {
		q := *p
		q.Held = []Hold{HoldStep}
		next.ServicePorts = append(next.ServicePorts, &q)
	}
	next.ServicePorts[42] = changed(s, 42).ServicePorts[42]
	second := must[*State](t)(d.Decode("f", must[[]byte](t)(Encode(&next))))
	if diff := cmp.Diff(&next, second, options); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	for i, p := range second.ServicePorts {
		if same := &p.Endpoints[0] == &first.ServicePorts[i].Endpoints[0]; same == (i == 42) || p == first.ServicePorts[i] {
			t.Errorf("ServicePort %d %s: same endpoints %t", i, p.ID(), same)
		}
	}
}

// What the writer holds comes back as that, unless the file says something else.
func TestDecoderTakesWhatIsKnown(t *testing.T) {
	known := large(100, 3)
	var d Decoder
	d.Known = func() *State { return nil }
	text := must[[]byte](t)(Encode(known))
	for _, p := range must[*State](t)(d.Decode("f", text)).ServicePorts {
		if slices.Contains(known.ServicePorts, p) {
			t.Fatalf("%s is from nowhere", p.ID())
		}
	}
	d = Decoder{Known: func() *State { return known.sorted(nil) }}
	said := changed(known, 42)
	for i, p := range must[*State](t)(d.Decode("f", must[[]byte](t)(Encode(said)))).ServicePorts {
		is := slices.Contains(known.ServicePorts, p)
		if want := keyOf(p) != keyOf(known.ServicePorts[42]); is != want {
			t.Errorf("ServicePort %d %s: known %t, want %t", i, p.ID(), is, want)
		}
	}
}

// Documents that did not change come back as the same pointers, also after a file
// that was refused, and whatever else moved.
func TestDecoderKeepsPointers(t *testing.T) {
	s := large(100, 3)
	var d Decoder
	first := must[*State](t)(d.Decode("f", must[[]byte](t)(Encode(s))))
	if _, err := d.Decode("f", []byte("broken\n")); err == nil {
		t.Fatal("broken file taken")
	}
	next := changed(s, 42)
	next.ServicePorts = append(next.ServicePorts[:10:10], next.ServicePorts[11:]...)
	second := must[*State](t)(d.Decode("f", must[[]byte](t)(Encode(next))))
	if diff := cmp.Diff(next, second, options); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	before := map[documentKey]*ServicePort{}
	for _, p := range first.ServicePorts {
		before[keyOf(p)] = p
	}
	for i, p := range second.ServicePorts {
		same := before[keyOf(p)] == p
		if isChanged := keyOf(p) == keyOf(s.ServicePorts[42]); same == isChanged {
			t.Errorf("ServicePort %d %s: same pointer %t", i, p.ID(), same)
		}
	}
}

// What a Decoder knows of the last file hides nothing of the next.
func TestDecoderOverlooksNothing(t *testing.T) {
	st := large(20, 3)
	text := string(must[[]byte](t)(Encode(st)))
	st.ServicePorts[7].Skipped = "to be seen"
	for i := range st.ServicePorts[7].Endpoints {
		st.ServicePorts[7].Endpoints[i].Address = netip.AddrFrom16([16]byte{0xfd, 15: byte(i + 1)})
	}
	skipped := string(must[[]byte](t)(Encode(st)))
	docs := strings.Split(text, "---\n")
	slices.Reverse(docs[1:])
	backwards := strings.Join(docs, "---\n")
	tests := map[string]struct{ file, old, new, want string }{
		"nodePort of another":     {text, "nodePort: 30007", "nodePort: 30009", "which team-7/service-7:http at line"},
		"name of another":         {text, "name: service-7", "name: service-9", ""},
		"ServicePort of another":  {text, "namespace: team-7\nname: service-7", "namespace: team-9\nname: service-9", "got the ServicePort team-9/service-9:http/tcp again"},
		"name out of order":       {text, "name: service-7", "name: zzz", ""},
		"namespace out of order":  {text, "namespace: team-7", "namespace: zzz", ""},
		"family without address":  {text, "address: 10.42.7.", "address: fd00::", "addresses has no IPv6 address"},
		"addresses without it":    {text, "addresses: [10.0.0.1]", "addresses: [fd00::1]", "addresses has no IPv4 address"},
		"no longer skipped":       {skipped, "skipped: to be seen\n", "", "addresses has no IPv6 address"},
		"backwards":               {backwards, "share: 0.3", "share: 0.3", ""},
		"backwards, nodePort too": {backwards, "nodePort: 30007", "nodePort: 30009", "which"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var d Decoder
			next := []byte(strings.ReplaceAll(test.file, test.old, test.new))
			if !strings.Contains(test.file, test.old) {
				t.Fatalf("no %q", test.old)
			}
			for _, data := range [][]byte{[]byte(test.file), next, next} {
				want, wantErr := Decode("f", data)
				got, gotErr := d.Decode("f", data)
				if diff := cmp.Diff(want, got, options); diff != "" || fmt.Sprint(wantErr) != fmt.Sprint(gotErr) {
					t.Errorf("%v, want %v (-want +got):\n%s", gotErr, wantErr, diff)
				}
			}
			if _, err := Decode("f", next); (err != nil) != (test.want != "") || !strings.Contains(fmt.Sprint(err), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// The cut of a file is its parts, whichever of them were there before, and none is made
// up for a file with more between them.
func TestCut(t *testing.T) {
	text := string(must[[]byte](t)(Encode(large(20, 3))))
	var d Decoder
	for name, test := range map[string]struct {
		text string
		cut  bool
	}{
		"first":          {text, true},
		"again":          {text, true},
		"one changed":    {strings.Replace(text, "port: 8080", "port: 8081", 1), true},
		"a marker first": {"---\n" + text, false},
		"marker, words":  {strings.Replace(text, "---\n", "--- # so\n", 1), false},
		"a comment":      {strings.Replace(text, "---\n", "# so\n---\n", 1), true},
		"no ServicePort": {string(must[[]byte](t)(Encode(large(0, 0)))), true},
	} {
		t.Run(name, func(t *testing.T) {
			must[*State](t)(d.Decode("f", []byte(test.text)))
			cut, ok := d.Cut()
			if ok != test.cut {
				t.Fatalf("cut: %t, want %t", ok, test.cut)
			}
			rest := test.text
			for i, part := range cut.Parts {
				marker := min(i, 1) * len(plainMarker)
				if want := fingerprint.Of([]byte(rest[marker:part.Len()]), cut.Seed).Behind(marker); want != part {
					t.Fatalf("part %d is %v, want %v", i, part, want)
				}
				rest = rest[part.Len():]
			}
			if ok && rest != "" {
				t.Errorf("%q is of no part", rest)
			}
		})
	}
}
