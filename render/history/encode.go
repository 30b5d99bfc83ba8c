package history

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// head is the first line of an entry's file, as JSON. The text and the state
// follow as they are, so that the file can be read with a pager. Of an entry that
// is mostly what the one before was, only what differs follows.
type head struct {
	// APIVersion is [APIVersion]. Entries of the first weft have none, and are of
	// weft/v1.
	APIVersion string `json:"apiVersion,omitempty"`
	Entry
	TextBytes  int `json:"textBytes"`
	StateBytes int `json:"stateBytes"`
	// Digest is the SHA-256 of the text, in hexadecimal; with a base, of the base's
	// digest and what the file says besides.
	Digest string `json:"digest"`
	Base   *base  `json:"base,omitempty"`
}

// APIVersion is the version of an entry's file that this package writes. One of
// another version, or with a field that is not known here, is refused: what a newer
// weft kept may mean something else.
const APIVersion = "weft/v1"

// base is the entry before, of which text and state are made.
type base struct {
	ID    uint64  `json:"id"`
	Text  []piece `json:"text"`
	State []piece `json:"state"`
}

// maxHead bounds the first line: a file that is none of ours must not be read
// into memory. JSON writes a byte of a message as six at most.
const maxHead = 8*MaxMessage + 1<<20

// contents are an entry's file, in the parts that it is put together of:
// those of a large cluster are not copied into one more text.
type contents struct {
	first []byte // the first line
	text  []string
	state []byte
}

func (c contents) size() int64 { return int64(len(c.first) + size(c.text) + len(c.state)) }

func (c contents) WriteTo(w io.Writer) (int64, error) {
	b := bufio.NewWriterSize(w, int(min(64<<10, c.size())))
	_, _ = b.Write(c.first) // it keeps its first error
	for _, part := range c.text {
		_, _ = b.WriteString(part)
	}
	_, _ = b.Write(c.state)
	return c.size(), b.Flush()
}

func digest(text ...string) string {
	sum := sha256.New()
	_, _ = contents{text: text}.WriteTo(sum) // a hash fails never
	return hex.EncodeToString(sum.Sum(nil))
}

// encode is the file of an entry that needs no other.
func encode(e Entry) (contents, head, error) {
	text := e.parts()
	h := head{APIVersion: APIVersion, Entry: bare(e), TextBytes: size(text), StateBytes: len(e.State), Digest: digest(text...)}
	c, err := under(h, text, e.State)
	return c, h, err
}

// encodeAfter is the file of an entry that is made of the one before.
func encodeAfter(before *kept, e Entry, text, state patch) (contents, head, error) {
	h := head{
		APIVersion: APIVersion, Entry: bare(e), TextBytes: len(text.literals), StateBytes: len(state.literals),
		Base: &base{before.head.ID, text.pieces, state.pieces},
	}
	h.Digest = h.Base.digest(before.head.Digest, text.literals, state.literals)
	c, err := under(h, []string{string(text.literals)}, state.literals)
	return c, h, err
}

// bare is an entry as its first line has it.
func bare(e Entry) Entry {
	e.Message, e.Text, e.State, e.Parts, e.Cut = cut(e.Message), "", nil, nil, nil
	return e
}

func (b *base) digest(of string, text, state []byte) string {
	sum := sha256.New()
	fmt.Fprintln(sum, of, b.Text, b.State)
	sum.Write(text)
	sum.Write(state)
	return hex.EncodeToString(sum.Sum(nil))
}

// under puts the first line before a text and a state.
func under(h head, text []string, state []byte) (contents, error) {
	first, err := json.Marshal(h)
	if err != nil {
		return contents{}, err
	}
	if len(first) >= maxHead {
		return contents{}, fmt.Errorf("first line of %d bytes: %w", len(first), ErrTooLarge)
	}
	return contents{append(first, '\n'), text, state}, nil
}

// cut bounds a message, and replaces what JSON could not give back.
func cut(message string) string {
	return strings.ToValidUTF8(message[:min(len(message), MaxMessage)], "\uFFFD")
}

// decode reads an entry as encode wrote it. The entry that it is made of, if any,
// comes from before, with its digest.
func decode(data []byte, before func(id uint64) (Entry, string, error)) (e Entry, sum string, err error) {
	first, rest, ok := bytes.Cut(data, []byte("\n"))
	if !ok {
		return Entry{}, "", errors.New("cut short")
	}
	h, err := decodeHead(first)
	if err != nil {
		return Entry{}, "", err
	}
	if h.TextBytes < 0 || h.StateBytes < 0 || h.TextBytes > len(rest) || h.StateBytes != len(rest)-h.TextBytes {
		return Entry{}, "", fmt.Errorf("%d bytes follow the first line, expected %d and %d", len(rest), h.TextBytes, h.StateBytes)
	}
	e = h.Entry
	text, state := rest[:h.TextBytes], rest[h.TextBytes:]
	if h.Base != nil {
		e, err = h.after(text, state, before)
		return e, h.Digest, err
	}
	e.Text, e.State = string(text), state
	if digest(e.Text) != h.Digest {
		return Entry{}, "", errDigest
	}
	return e, h.Digest, nil
}

var errDigest = errors.New("the text is not the one that was kept")

// after makes an entry of the one before.
func (h head) after(text, state []byte, before func(uint64) (Entry, string, error)) (Entry, error) {
	if h.Base.ID >= h.ID {
		return Entry{}, fmt.Errorf("it is made of entry %d, which is no earlier one", h.Base.ID)
	}
	old, sum, err := before(h.Base.ID)
	if err != nil {
		return Entry{}, fmt.Errorf("entry %d, of which it is made: %w", h.Base.ID, err)
	}
	if h.Base.digest(sum, text, state) != h.Digest {
		return Entry{}, errDigest
	}
	e := h.Entry
	e.Text, err = patch{h.Base.Text, text}.apply(old.Text)
	if err != nil {
		return Entry{}, err
	}
	made, err := patch{h.Base.State, state}.apply(string(old.State))
	if e.State = []byte(made); len(e.State) == 0 {
		e.State = nil
	}
	return e, err
}

func decodeHead(line []byte) (head, error) {
	var version struct {
		APIVersion string `json:"apiVersion"`
	}
	if err := json.Unmarshal(line, &version); err != nil {
		return head{}, fmt.Errorf("first line: %w", err)
	}
	if v := version.APIVersion; v != "" && v != APIVersion {
		return head{}, fmt.Errorf("first line: got apiVersion %q, this build reads %s", v, APIVersion)
	}
	var h head
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil {
		return head{}, fmt.Errorf("first line: %w", err)
	}
	return h, nil
}

// read reads an entry of a folder.
func read(folder string, id uint64) (Entry, string, error) {
	path := filepath.Join(folder, fileName(id))
	data, err := os.ReadFile(path)
	if err != nil {
		return Entry{}, "", err
	}
	e, sum, err := decode(data, func(base uint64) (Entry, string, error) { return read(folder, base) })
	if err != nil {
		return Entry{}, "", fmt.Errorf("%s: %w", path, err)
	}
	return e, sum, nil
}

func readHead(path string) (head, error) {
	f, err := os.Open(path)
	if err != nil {
		return head{}, err
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, maxHead)).ReadBytes('\n')
	if err != nil {
		return head{}, fmt.Errorf("%s: no first line: %w", path, err)
	}
	h, err := decodeHead(line)
	if err != nil {
		return head{}, fmt.Errorf("%s: %w", path, err)
	}
	return h, nil
}
