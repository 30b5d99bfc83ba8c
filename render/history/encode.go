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
	"strings"
)

// head is the first line of an entry's file, as JSON. The text and the state
// follow as they are, so that the file can be read with a pager.
type head struct {
	Entry
	TextBytes  int `json:"textBytes"`
	StateBytes int `json:"stateBytes"`
	// Digest is the SHA-256 of the text, in hexadecimal.
	Digest string `json:"digest"`
}

// maxHead bounds the first line: a file that is none of ours must not be read
// into memory. JSON writes a byte of a message as six at most.
const maxHead = 8*MaxMessage + 1<<20

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func encode(e Entry) ([]byte, error) {
	e.Message = cut(e.Message)
	first, err := json.Marshal(head{e, len(e.Text), len(e.State), digest(e.Text)})
	if err != nil {
		return nil, err
	}
	if len(first) >= maxHead {
		return nil, fmt.Errorf("first line of %d bytes: %w", len(first), ErrTooLarge)
	}
	data := make([]byte, 0, len(first)+1+len(e.Text)+len(e.State))
	data = append(data, first...)
	data = append(data, '\n')
	data = append(data, e.Text...)
	return append(data, e.State...), nil
}

// cut bounds a message, and replaces what JSON could not give back.
func cut(message string) string {
	return strings.ToValidUTF8(message[:min(len(message), MaxMessage)], "\uFFFD")
}

// decode reads an entry as encode wrote it.
func decode(data []byte) (Entry, error) {
	first, rest, ok := bytes.Cut(data, []byte("\n"))
	if !ok {
		return Entry{}, errors.New("cut short")
	}
	h, err := decodeHead(first)
	if err != nil {
		return Entry{}, err
	}
	if h.TextBytes < 0 || h.StateBytes < 0 || h.TextBytes > len(rest) || h.StateBytes != len(rest)-h.TextBytes {
		return Entry{}, fmt.Errorf("%d bytes follow the first line, expected %d and %d", len(rest), h.TextBytes, h.StateBytes)
	}
	e := h.Entry
	e.Text, e.State = string(rest[:h.TextBytes]), rest[h.TextBytes:]
	if digest(e.Text) != h.Digest {
		return Entry{}, errors.New("the text is not the one that was kept")
	}
	return e, nil
}

func decodeHead(line []byte) (head, error) {
	var h head
	if err := json.Unmarshal(line, &h); err != nil {
		return head{}, fmt.Errorf("first line: %w", err)
	}
	return h, nil
}

func read(path string) (Entry, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Entry{}, err
	}
	e, err := decode(data)
	if err != nil {
		return Entry{}, fmt.Errorf("%s: %w", path, err)
	}
	return e, nil
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
