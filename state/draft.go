package state

import "io"

// draft is a text that is to be written: what is new of it, and where in the text before
// the rest is. Of megabytes in which little changed, nobody has to keep a copy.
type draft struct {
	pieces []piece
	fresh  []byte
	known  []placed // documents, as they are in the draft
	size   int
	old    io.ReadSeeker // the text before
}

// piece is so many bytes of what is fresh, or of the text before.
type piece struct {
	old      bool
	at, size int
}

func (d *draft) add(p piece) {
	d.size += p.size
	if n := len(d.pieces); n > 0 {
		if last := &d.pieces[n-1]; last.old == p.old && last.at+last.size == p.at {
			last.size += p.size
			return
		}
	}
	d.pieces = append(d.pieces, p)
}

// document adds the text of a ServicePort: the one before, if that was equal.
func (d *draft) document(p *ServicePort, before placed) placed {
	at := d.size
	if before.from != nil && (before.from == p || equalServicePorts(before.from, p)) {
		d.add(piece{old: true, at: before.at, size: before.size})
		return placed{p, at, before.size}
	}
	begin := len(d.fresh)
	d.fresh = appendServicePort(d.fresh, p)
	d.add(piece{at: begin, size: len(d.fresh) - begin})
	return placed{p, at, len(d.fresh) - begin}
}

// from says where the text before is.
func (d *draft) from(old io.ReadSeeker) *draft {
	d.old = old
	return d
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
	if !p.old {
		n, err := w.Write(d.fresh[p.at : p.at+p.size])
		return int64(n), err
	}
	if _, err := d.old.Seek(int64(p.at), io.SeekStart); err != nil {
		return 0, err
	}
	return io.CopyN(w, d.old, int64(p.size))
}
