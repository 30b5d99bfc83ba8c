package state

import "io"

// draft is a text that is to be written: what is new of it, and where in the text before
// the rest is. Of megabytes in which little changed, nobody has to keep a copy.
type draft struct {
	pieces  []piece
	block   []byte   // where what is fresh goes, with room for more
	scratch []byte   // a document before its size is known
	known   []placed // documents, as they are in the draft
	served  [2]bool  // families of its addresses
	size    int
	old     io.ReadSeeker // the text before
}

// piece is so many bytes of the text before, or what is fresh.
type piece struct {
	fresh    []byte // nil for what is old
	at, size int
}

// Blocks are small where little changed, and never so large that to grow them would cost
// more than what is in them.
const minBlock, maxBlock = 4 << 10, 256 << 10

// put adds what is fresh.
func (d *draft) put(text []byte) {
	d.size += len(text)
	if len(d.block)+len(text) > cap(d.block) {
		d.block = make([]byte, 0, max(len(text), minBlock, min(2*cap(d.block), maxBlock)))
	}
	begin, n := len(d.block), len(d.pieces)
	d.block = append(d.block, text...)
	if begin > 0 && n > 0 && d.pieces[n-1].fresh != nil { // which ends at begin
		last := &d.pieces[n-1]
		last.fresh = last.fresh[:len(last.fresh)+len(text)]
		return
	}
	d.pieces = append(d.pieces, piece{fresh: d.block[begin:]})
}

// keep adds bytes of the text before.
func (d *draft) keep(at, size int) {
	d.size += size
	if n := len(d.pieces); n > 0 {
		if last := &d.pieces[n-1]; last.fresh == nil && last.at+last.size == at {
			last.size += size
			return
		}
	}
	d.pieces = append(d.pieces, piece{at: at, size: size})
}

// document adds the text of a ServicePort: the one before, if that was equal.
func (d *draft) document(p *ServicePort, before placed) placed {
	at := d.size
	if before.from != nil && (before.from == p || equalServicePorts(before.from, p)) {
		d.keep(before.at, before.size)
		return placed{p, at, before.size, before.endpoints}
	}
	d.scratch = appendServicePort(d.scratch[:0], p)
	d.put(d.scratch)
	return placed{p, at, d.size - at, len(p.Endpoints)}
}

func (d *draft) WriteTo(w io.Writer) (size int64, err error) {
	for _, p := range d.pieces {
		n, err := d.write(w, p)
		if size += n; err != nil {
			return size, err
		}
	}
	return size, nil
}

// write copies within the kernel, where old and new text are files.
func (d *draft) write(w io.Writer, p piece) (int64, error) {
	if p.fresh != nil {
		n, err := w.Write(p.fresh)
		return int64(n), err
	}
	if _, err := d.old.Seek(int64(p.at), io.SeekStart); err != nil {
		return 0, err
	}
	return io.CopyN(w, d.old, int64(p.size))
}
