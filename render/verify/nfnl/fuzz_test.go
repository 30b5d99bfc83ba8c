package nfnl

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weft/examples/lab/labtest"
)

var update = flag.Bool("update", false, "record the kernel's messages for testdata/*.nft anew")

// TestRecord keeps what the kernel answers for each ruleset in testdata as seeds
// for fuzzing: message type, length in two bytes, payload.
func TestRecord(t *testing.T) {
	if !*update {
		t.Log("nothing to do without -update")
		return
	}
	files, err := filepath.Glob("testdata/*.nft")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		ns := labtest.Scratch(t)
		if _, err := ns.Run("nft", "-f", file); err != nil {
			t.Fatal(err)
		}
		c, err := Dial(ns.FD())
		if err != nil {
			t.Fatal(err)
		}
		out, err := record(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(strings.TrimSuffix(file, ".nft")+".bin", out, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func record(c *Conn) ([]byte, error) {
	ctx := context.Background()
	var out []byte
	keep := func(msg uint16) func([]byte) error {
		return func(b []byte) error {
			out = binary.BigEndian.AppendUint16(append(out, byte(msg)), uint16(len(b)))
			out = append(out, b...)
			return nil
		}
	}
	var sets []*Set
	for _, msg := range []uint16{msgGetChain, msgGetRule, msgGetSet} {
		err := c.dump(ctx, msg, Unspec, nil, keep(msg))
		if err != nil {
			return nil, err
		}
	}
	err := c.dump(ctx, msgGetSet, Unspec, nil, func(b []byte) error {
		s, err := DecodeSet(b)
		sets = append(sets, s)
		return err
	})
	for _, s := range sets {
		filter := append(attribute(1, s.Table), attribute(2, s.Name)...)
		if err == nil {
			err = c.dump(ctx, msgGetSetElem, s.Family, filter, keep(msgGetSetElem))
		}
	}
	return out, err
}

// FuzzDecode: no bytes make a decoder panic, and every expression can be written.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.bin")
	if err != nil || len(files) == 0 {
		f.Fatal("no recorded messages", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for len(b) >= 3 {
			n := 3 + int(binary.BigEndian.Uint16(b[1:]))
			f.Add(b[0], b[3:n])
			b = b[n:]
		}
	}
	f.Fuzz(func(t *testing.T, msg byte, b []byte) {
		switch uint16(msg) {
		case msgGetTable:
			_, _ = DecodeTable(b)
		case msgGetChain:
			_, _ = DecodeChain(b)
		case msgGetSet:
			_, _ = DecodeSet(b)
		case msgGetSetElem:
			_, _, _, _ = DecodeElements(b)
		default:
			theirs := bytes.Clone(b)
			r, err := new(RuleDecoder).Decode(theirs)
			if err != nil {
				return
			}
			before := describe(r)
			for i := range theirs {
				theirs[i] ^= 0xff
			}
			if diff := cmp.Diff(before, describe(r)); diff != "" {
				t.Errorf("a rule refers to what it was decoded from: %s", diff)
			}
		}
	})
}

// describe is what a rule says.
func describe(r *Rule) []string {
	says := []string{r.Table, r.Chain, r.Comment, r.Unknown}
	for _, e := range r.Exprs {
		says = append(says, e.String())
	}
	return says
}
