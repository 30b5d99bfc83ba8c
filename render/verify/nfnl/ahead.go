package nfnl

// together is how many bytes of answers are handed on at once, or more by one answer,
// and waiting is how many such batches may wait.
const (
	together = 32 << 10
	waiting  = 64
)

// ahead decodes what is long to list and to decode: the kernel writes the next
// datagram while the last one is decoded. What is read is copied and handed on.
func ahead(decode func([]byte) error, read func(hand func([]byte) error) error) error {
	batches := make(chan batch, waiting)
	decoded := make(chan error, 1)
	go func() {
		var err error
		for b := range batches {
			if err == nil {
				err = b.each(decode)
			}
		}
		decoded <- err
	}()
	var b batch
	err := read(func(answer []byte) error {
		b.add(answer)
		if len(b.text) >= together {
			batches <- b
			b = batch{}
		}
		return nil
	})
	batches <- b
	close(batches)
	if failed := <-decoded; failed != nil {
		return failed
	}
	return err
}

// batch is answers, one behind the other.
type batch struct {
	text []byte
	ends []int
}

func (b *batch) add(answer []byte) {
	if b.text == nil {
		b.text = make([]byte, 0, together+len(answer))
	}
	b.text = append(b.text, answer...)
	b.ends = append(b.ends, len(b.text))
}

func (b *batch) each(f func([]byte) error) error {
	from := 0
	for _, end := range b.ends {
		if err := f(b.text[from:end]); err != nil {
			return err
		}
		from = end
	}
	return nil
}
