package state

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"weft/state/fingerprint"
	"weft/state/strict"
)

// Decode reads a state file. It takes the file whole or not at all: the error is
// a *multierror.Error with one *strict.Problem for each thing that is wrong, with
// the line, the field and what was expected. file is only for messages.
//
// ServicePorts, endpoints, nodes and addresses come back sorted, whatever order
// the file has.
func Decode(file string, data []byte) (*State, error) { return new(Decoder).Decode(file, data) }

// Decoder decodes one state file again and again. A document whose bytes did not
// change since the last file that was good is not parsed again, and comes back as
// the same *ServicePort. It keeps none of the bytes. The zero value is ready; it is
// not for concurrent use.
type Decoder struct {
	// Known is what the writer of the file holds, where that is in the same process;
	// else nil. A ServicePort that is equal to one of these comes back as that one, so
	// that both are once in memory.
	Known func() *State

	seed maphash.Seed
	// records are the documents of the last good file, behind the header.
	records []record
	inOrder bool // they stand in the order of a state
	header  fingerprint.Print
	tiled   bool    // header and records are all of the file, but for plain markers
	served  [2]bool // the address families that the file's node takes traffic for
	words   words
	spare   spare
}

// spare is memory of the file before, which takes the next one.
type spare struct {
	docs    []document
	records []record
}

// record is a document that was read.
type record struct {
	text        fingerprint.Print
	servicePort *ServicePort
	endpoints   int // of the ServicePort
}

// Decode reads a file as [Decode] does. A file that is refused leaves the
// decoder as it was.
func (d *Decoder) Decode(file string, data []byte) (*State, error) {
	if err := checkWhole(file, data); err != nil {
		return nil, err
	}
	if d.records == nil {
		d.seed = maphash.MakeSeed()
	}
	docs := splitLike(data, d.records, d.seed, d.spare.docs[:0])
	s, counts := scanHeader(string(docs[0].text))
	var headerProblems []*strict.Problem
	if s == nil {
		s, counts, headerProblems = readHeader(file, docs[0].line(data), docs[0].text)
	}
	if s == nil {
		return nil, strict.Join(headerProblems)
	}
	words := d.words.renewed(s.Nodes)
	b := &body{file: file, data: data, docs: docs[1:], seed: d.seed, words: words, records: d.spare.records}
	b.read(d.records)
	if d.Known != nil {
		b.meet(d.Known())
	}
	problems := append(headerProblems, b.problems...)
	s.ServicePorts = b.servicePorts()
	served := familiesOf(s.Addresses)
	if slices.ContainsFunc(headerProblems, isAbout("addresses")) {
		served = [2]bool{true, true}
	}
	inStep := d.inOrder && d.served == served && b.isInStep(d.records)
	if !inStep {
		problems = append(problems, b.checkTogether(s, served)...)
	}
	problems = append(problems, b.checkCounts(counts, headerProblems, docs[0])...)
	if len(problems) > 0 {
		return nil, strict.Join(problems)
	}
	d.header, d.tiled = fingerprint.Of(docs[0].text, d.seed), tile(docs)
	clear(docs) // and with it the bytes
	clear(d.records)
	d.spare = spare{docs, d.records}
	d.records, d.served, d.words = b.records, served, words
	s.sortHeader()
	if !inStep {
		d.inOrder = !s.sortServicePorts()
	}
	return s, nil
}

// tile reports whether the documents are all of a file, but for plain markers.
func tile(docs []document) bool {
	end := -len(plainMarker)
	for i, doc := range docs {
		if begin := doc.offset - end; begin != len(plainMarker) || i == 0 && doc.offset != 0 {
			return false
		}
		end = doc.offset + len(doc.text)
	}
	return true
}

// Cut is the last good file by its documents, so that nobody needs to look for them
// again; false for a file that is not only documents behind plain markers.
func (d *Decoder) Cut() (fingerprint.Cut, bool) {
	if !d.tiled {
		return fingerprint.Cut{}, false
	}
	parts := make([]fingerprint.Print, 1, 1+len(d.records))
	parts[0] = d.header
	for i := range d.records {
		parts = append(parts, d.records[i].text.Behind(len(plainMarker)))
	}
	return fingerprint.Cut{Seed: d.seed, Parts: parts}, true
}

// isInStep reports whether each document is of the ServicePort that stood there in the
// last good file, with endpoints of the same families: then what was true of all
// together is true again. It looks into those alone that are not the same.
func (b *body) isInStep(before []record) bool {
	if len(b.problems) > 0 || len(before) != len(b.records) {
		return false
	}
	for i := range before {
		p, q := before[i].servicePort, b.records[i].servicePort
		if p != q && (p.Compare(q) != 0 || familiesTaken(p) != familiesTaken(q)) {
			return false
		}
	}
	return true
}

// checkWhole finds what a copy that stopped midway leaves behind.
func checkWhole(file string, data []byte) error {
	switch {
	case strict.Blank(data):
		return strict.Join([]*strict.Problem{{File: file, Line: 1, Message: "the file is empty, expected a document of kind State"}})
	case data[len(data)-1] != '\n':
		line := 1 + bytes.Count(data, []byte("\n"))
		return strict.Join([]*strict.Problem{{File: file, Line: line, Message: "the last line has no end, expected a newline: the file may be cut off"}})
	}
	return nil
}

// counts is what a header says of the documents behind it, so that a file that
// was cut off between two lines is known for it.
type counts struct {
	servicePorts int
	endpoints    int // of all ServicePorts; -1 where the header does not say
}

// checkCounts compares what the header says with what there is.
func (b *body) checkCounts(want counts, headerProblems []*strict.Problem, header document) (problems []*strict.Problem) {
	report := func(field string, want, found int, what string) {
		if want == found || slices.ContainsFunc(headerProblems, isAbout(field)) {
			return
		}
		message := fmt.Sprintf("got %d, but there are %d %s", want, found, what)
		if found < want {
			message += ": the file may be cut off"
		}
		line := strict.Line(header.text, header.line(b.data), field)
		problems = append(problems, &strict.Problem{File: b.file, Line: line, Field: field, Message: message})
	}
	report("servicePorts", want.servicePorts, len(b.docs), "documents of kind ServicePort")
	if want.endpoints >= 0 && len(b.problems) == 0 {
		report("endpoints", want.endpoints, b.countEndpoints(), "endpoints")
	}
	return problems
}

// countEndpoints looks at no ServicePort: thousands of them are all over the memory.
func (b *body) countEndpoints() (n int) {
	for i := range b.records {
		n += b.records[i].endpoints
	}
	return n
}

// isAbout finds problems of a field, and those of the whole document, after which
// nothing is known of the field.
func isAbout(field string) func(*strict.Problem) bool {
	return func(p *strict.Problem) bool {
		return p.Field == "" || p.Field == field || strings.HasPrefix(p.Field, field+"[")
	}
}

// body are the documents after the header while they are read.
type body struct {
	file     string
	data     []byte
	docs     []document
	seed     maphash.Seed
	words    words
	records  []record // by document; without a ServicePort if it could not be read
	problems []*strict.Problem
}

// read fills records and problems. Those of the documents before are taken over.
func (b *body) read(before []record) {
	b.records = slices.Grow(b.records[:0], len(b.docs))
	var pending []int
	for i := 0; i < len(b.docs); {
		if n := b.run(i); n > 0 {
			same := b.docs[i].same
			b.records = append(b.records, before[same:same+n]...)
			i += n
			continue
		}
		b.records = append(b.records, record{text: fingerprint.Of(b.docs[i].text, b.seed)})
		pending = append(pending, i)
		i++
	}
	if len(pending) > 0 {
		pending = b.moved(pending, before)
		b.parse(pending)
		b.share(pending, before)
	}
}

// run is how many documents from one on are those that followed each other before.
func (b *body) run(from int) (n int) {
	first := b.docs[from].same
	if first < 0 {
		return 0
	}
	for n = 1; from+n < len(b.docs) && b.docs[from+n].same == first+n; n++ {
	}
	return n
}

// share gives those that were read anew the endpoints that they had before, where
// these are the same: most of what changes is why a share is what it is, and whoever
// made something of the endpoints holds them already. In a file that is not sorted
// some may not be found, which costs memory alone.
func (b *body) share(pending []int, before []record) {
	for _, i := range pending {
		p := b.records[i].servicePort
		if p == nil {
			continue
		}
		at, found := slices.BinarySearchFunc(before, p, func(r record, p *ServicePort) int { return r.servicePort.Compare(p) })
		if found && slices.EqualFunc(p.Endpoints, before[at].servicePort.Endpoints, equalEndpoints) {
			p.Endpoints = before[at].servicePort.Endpoints
		}
	}
}

// meet takes what is equal to what somebody else in the process holds.
func (b *body) meet(known *State) {
	if known == nil {
		return
	}
	for i, doc := range b.docs {
		p := b.records[i].servicePort
		if p == nil || doc.same >= 0 {
			continue
		}
		at, found := slices.BinarySearchFunc(known.ServicePorts, p, (*ServicePort).Compare)
		if found && equalServicePorts(p, known.ServicePorts[at]) {
			b.records[i].servicePort = known.ServicePorts[at]
		}
	}
}

// moved takes over the records of documents that stand elsewhere than before, and
// returns the others.
func (b *body) moved(pending []int, before []record) []int {
	wanted := make(map[fingerprint.Print]int, len(pending))
	for _, i := range pending {
		wanted[b.records[i].text] = i
	}
	for _, r := range before {
		if i, ok := wanted[r.text]; ok {
			b.records[i] = r
		}
	}
	return slices.DeleteFunc(pending, func(i int) bool { return b.records[i].servicePort != nil })
}

func (b *body) servicePorts() []*ServicePort {
	if len(b.records) == 0 {
		return nil
	}
	all := make([]*ServicePort, len(b.records))
	for i := range b.records {
		all[i] = b.records[i].servicePort
	}
	return all
}

// perWorker is how many documents make another goroutine worth it.
const perWorker = 32

// parse reads the documents with the given indexes, many of them on all processors.
func (b *body) parse(pending []int) {
	problems := make([][]*strict.Problem, len(pending))
	workers := max(1, min(runtime.GOMAXPROCS(0), len(pending)/perWorker))
	each := (len(pending) + workers - 1) / workers
	var g errgroup.Group
	for from := each; from < len(pending); from += each {
		to := min(from+each, len(pending))
		g.Go(func() error {
			b.some(pending[from:to], problems[from:to])
			return nil
		})
	}
	first := min(each, len(pending))
	b.some(pending[:first], problems[:first])
	_ = g.Wait() // the workers return no errors
	b.problems = slices.Concat(problems...)
}

// some reads some of the documents, and what is wrong with each.
func (b *body) some(pending []int, problems [][]*strict.Problem) {
	for n, i := range pending {
		r := &b.records[i]
		if r.servicePort, problems[n] = b.one(b.docs[i]); r.servicePort != nil {
			r.endpoints = len(r.servicePort.Endpoints)
		}
	}
}

// one reads a document: the quick way if it looks like an encoder's, else the
// strict way, which alone has messages.
func (b *body) one(doc document) (*ServicePort, []*strict.Problem) {
	if p := scanServicePort(string(doc.text), b.words); p != nil {
		return p, nil
	}
	p, problems := readServicePort(b.file, doc.line(b.data), doc.text)
	if len(problems) > 0 {
		return nil, problems
	}
	p.sort()
	return p, nil
}

func (b *body) checkTogether(s *State, served [2]bool) (problems []*strict.Problem) {
	at := func(i int, path string) int {
		return strict.Line(b.docs[i].text, b.docs[i].line(b.data), path)
	}
	checkTogether(s.ServicePorts, served, true, func(i int, path, message string) {
		problems = append(problems, &strict.Problem{File: b.file, Line: at(i, path), Field: path, Message: message})
	}, func(i int) string { return fmt.Sprintf("line %d", at(i, "")) })
	return problems
}
