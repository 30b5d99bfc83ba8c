package history

import (
	"errors"
	"fmt"
	"strings"
)

// piece is a run of bytes of a text. It is taken from another text, from an offset
// on, or, where From is negative, stands for itself.
type piece struct{ From, Length int }

// patch is a text in pieces of another, with the bytes that stand for themselves.
type patch struct {
	pieces   []piece
	literals []byte
}

// lookahead is how many parts a text may have more and less in one place before
// the next part counts as changed.
const lookahead = 64

// difference is the patch that makes the text of new out of that of old. Both come
// in parts, and only whole parts are found again: where most of them are the same
// strings, not only equal ones, it costs little more than a look at each.
func difference(old, new []string) patch {
	return differ(old, new, func(part string) int { return len(part) }, func(j int) string { return new[j] })
}

// differ is difference for parts that stand for texts of a length.
func differ[P comparable](old, new []P, length func(P) int, text func(j int) string) patch {
	var p patch
	at, i := 0, 0 // the offset of old[i]
	budget := 8 * (len(old) + len(new) + lookahead*lookahead)
	for j := 0; j < len(new); {
		skip, insert := resync(old[i:], new[j:], &budget)
		for range insert {
			p.insert(text(j))
			j++
		}
		for range skip {
			at += length(old[i])
			i++
		}
		for i < len(old) && j < len(new) && old[i] == new[j] {
			p.copy(at, length(old[i]))
			at += length(old[i])
			i, j = i+1, j+1
		}
	}
	return p
}

// resync finds the nearest place where both are the same: how many parts of old
// are gone until then, and how many of new are inserted. When it has looked for
// too long, everything that is left is new.
func resync[P comparable](old, new []P, budget *int) (skip, insert int) {
	for n := range min(len(old)+len(new), 2*lookahead) {
		for k := max(0, n-lookahead); k <= min(n, lookahead); k++ {
			if *budget--; n-k < len(old) && k < len(new) && old[n-k] == new[k] {
				return n - k, k
			}
		}
	}
	if *budget < 0 {
		return 0, len(new)
	}
	return min(1, len(old)), 1
}

func (p *patch) copy(from, length int) {
	if last := len(p.pieces) - 1; last >= 0 && p.pieces[last].From >= 0 && p.pieces[last].From+p.pieces[last].Length == from {
		p.pieces[last].Length += length
		return
	}
	p.pieces = append(p.pieces, piece{from, length})
}

func (p *patch) insert(part string) {
	p.literals = append(p.literals, part...)
	if last := len(p.pieces) - 1; last >= 0 && p.pieces[last].From < 0 {
		p.pieces[last].Length += len(part)
		return
	}
	p.pieces = append(p.pieces, piece{-1, len(part)})
}

var errPieces = errors.New("pieces that do not fit the entry before")

// apply makes the text again.
func (p patch) apply(old string) (string, error) {
	var b strings.Builder
	literals := p.literals
	for _, piece := range p.pieces {
		switch {
		case piece.Length < 0:
			return "", errPieces
		case piece.From < 0 && piece.Length <= len(literals):
			b.Write(literals[:piece.Length])
			literals = literals[piece.Length:]
		case piece.From >= 0 && piece.From <= len(old) && piece.Length <= len(old)-piece.From && b.Len()+piece.Length <= maxText:
			b.WriteString(old[piece.From : piece.From+piece.Length])
		default:
			return "", errPieces
		}
	}
	if len(literals) > 0 {
		return "", fmt.Errorf("%d bytes too many: %w", len(literals), errPieces)
	}
	return b.String(), nil
}

// maxText bounds what pieces may add up to: a file that is none of ours must not
// fill the memory.
const maxText = 256 << 20
