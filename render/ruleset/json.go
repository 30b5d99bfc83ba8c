package ruleset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-multierror"
)

// Inexpressible is something that nft's JSON cannot say, so that a document
// without it would do something else than the text.
type Inexpressible struct {
	What string // as "comment of set ip weft nodeport-ips"
	Why  string
}

func (e *Inexpressible) Error() string { return e.What + ": " + e.Why }

// errListing is JSON that does not belong to the text that nft listed.
var errListing = errors.New("nft's listings as text and as JSON do not fit together")

// JSON is the transaction as a document of libnftables JSON, which `nft -j -f`
// takes. It is put together from nft's own JSON of both rulesets: nft is its only
// complete translator. So the rulesets must be what nft listed, and old and new
// its listings of the same as JSON. There is one command on each line.
//
// The error is a [multierror.Error] of [*Inexpressible] for what nft 1.0.6 is
// known to lose. What else it may lose only trying the document tells.
func (tx *Transaction) JSON(old, new *Objects) ([]byte, error) {
	d := &document{old: old, new: new}
	for _, rs := range []*Ruleset{tx.old, tx.new} {
		for _, t := range rs.Tables {
			if len(t.Flags) > 0 {
				d.lost("flags of table "+t.Family+" "+t.Name, "nft lists no JSON of a table that has some")
			}
		}
	}
	if d.errs != nil {
		return nil, d.errs
	}
	d.command("metainfo", map[string]any{"json_schema_version": 1})
	for _, s := range tx.others {
		d.lost("line `"+s.Text+"`", "it is no object")
	}
	for _, c := range tx.changes {
		d.change(c, tx.old)
	}
	if err := d.errs.ErrorOrNil(); err != nil {
		return nil, err
	}
	return []byte("{\"nftables\": [\n" + strings.Join(d.lines, ",\n") + "\n]}\n"), nil
}

// document is JSON in the making.
type document struct {
	old, new *Objects
	lines    []string
	errs     *multierror.Error
}

// object is one JSON object.
type object = map[string]any

// command adds a line.
func (d *document) command(name string, inner any) {
	text, err := encode(object{name: inner})
	if err != nil {
		d.errs = multierror.Append(d.errs, err)
		return
	}
	d.lines = append(d.lines, text)
}

// encode writes JSON without the escapes that HTML needs.
func encode(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSpace(b.String()), err
}

func (d *document) lost(what, why string) {
	d.errs = multierror.Append(d.errs, &Inexpressible{what, why})
}

func (d *document) fail(what string) {
	d.errs = multierror.Append(d.errs, fmt.Errorf("%s: %w", what, errListing))
}

// change adds the commands of one table.
func (d *document) change(c *tableChange, old *Ruleset) {
	t := tableObject{c.family, c.name}
	if c.deleted {
		d.command("delete", object{"table": object{"family": c.family, "name": c.name}})
	}
	for i := range c.deletions {
		d.deletion(t, &c.deletions[i], old)
	}
	if a := c.addition; a != nil {
		d.addition(t, a, c)
	}
	for _, i := range c.insertions {
		d.rule("insert", t, i.chain, i.rule)
	}
	for _, l := range c.elements {
		d.elements("add", t, l.set, l.elements, d.new)
	}
}

// tableObject makes objects of one table.
type tableObject struct{ family, name string }

func (t tableObject) object(kind, name string) object {
	return object{"family": t.family, "table": t.name, kind: name}
}

func (t tableObject) key(kind, name string) string {
	return strings.Join([]string{kind, t.family, t.name, name}, " ")
}

func (d *document) deletion(t tableObject, x *deletion, old *Ruleset) {
	if x.elements == nil {
		d.command(x.verb, object{x.kind: t.object("name", x.name)})
		return
	}
	for _, table := range old.Tables {
		for _, s := range table.Sets {
			if table.Family == t.family && table.Name == t.name && s.Name == x.name {
				d.elements(x.verb, t, s, x.elements, d.old)
			}
		}
	}
}

// addition adds what stands in a table block: blocks before what refers to them.
// Chains go before sets, since nft 1.0.6 adds the elements of a new set of
// intervals where the set is added.
func (d *document) addition(t tableObject, a *addition, c *tableChange) {
	if a.comment != "" {
		d.lost("comment of table "+t.family+" "+t.name, "nft drops it")
	}
	for _, s := range a.others {
		d.lost("line `"+s.Text+"`", "it is no object")
	}
	if c.whole {
		d.command("add", object{"table": object{"family": t.family, "name": t.name}})
	}
	for _, o := range a.objects {
		d.namedObject(t, o)
	}
	for _, c := range a.chains {
		if c.head {
			d.chainHead(t, c.Chain)
		}
	}
	for _, s := range a.sets {
		d.setHead(t, s)
	}
	for _, s := range a.sets {
		d.elements("add", t, s, s.Elements, d.new)
	}
	for _, c := range a.chains {
		for i := range c.rules {
			d.rule("add", t, c.Chain, len(c.Rules)-len(c.rules)+i)
		}
	}
}

func (d *document) namedObject(t tableObject, o *Object) {
	switch o.Kind {
	case "ct timeout", "ct expectation", "synproxy", "secmark", "flowtable":
		d.lost(t.key(o.Kind, o.Name), "nft does not take it, or not all of it")
		return
	}
	d.block(t, o.Kind, o.Name)
}

// block adds a block as nft lists it, without what says where it is.
func (d *document) block(t tableObject, kind, name string) {
	listed, ok := d.new.blocks[t.key(kind, name)]
	if !ok {
		d.fail(t.key(kind, name))
		return
	}
	b := object{}
	for k, v := range listed {
		if k != "handle" && k != "elem" && k != "comment" || k == "comment" && kind != "set" && kind != "map" && kind != "chain" {
			b[k] = v
		}
	}
	d.command("add", object{kind: b})
}

func (d *document) setHead(t tableObject, s *Set) {
	kind := setKeyword(s)
	what := t.key(kind, s.Name)
	switch {
	case s.Comment != "":
		d.lost("comment of "+what, "nft drops it")
	case s.Typeof:
		d.lost("typeof of "+what, "nft lists it as a type, and not always as one that it takes")
	case slices.Contains(s.Flags, "dynamic"):
		d.lost("flag dynamic of "+what, "nft neither lists nor takes it")
	case s.AutoMerge:
		d.lost("auto-merge of "+what, "nft drops it")
	case strings.Contains(s.Data, " . "):
		d.lost("type "+s.Data+" of the values of "+what, "nft does not take it")
	case subSecond(s.Timeout), subSecond(s.GCInterval):
		d.lost("timeout of "+what, "nft counts whole seconds")
	default:
		d.block(t, kind, s.Name)
	}
}

// subSecond tells whether a time is no number of whole seconds.
func subSecond(time string) bool { return strings.Contains(time, "ms") }

func (d *document) chainHead(t tableObject, c *Chain) {
	what := t.key("chain", c.Name)
	switch {
	case c.Comment != "":
		d.lost("comment of "+what, "nft drops it")
	case c.Base != nil && len(c.Base.Devices) > 0:
		d.lost("devices of "+what, "nft does not list them")
	case c.Base != nil && len(c.Base.Flags) > 0:
		d.lost("flags of "+what, "nft drops them")
	default:
		d.block(t, "chain", c.Name)
	}
}

func (d *document) rule(verb string, t tableObject, c *Chain, i int) {
	rules := d.new.rules[t.key("chain", c.Name)]
	if len(rules) != len(c.Rules) {
		d.fail(t.key("chain", c.Name))
		return
	}
	r := object{}
	for k, v := range rules[i] {
		if k != "handle" {
			r[k] = v
		}
	}
	d.command(verb, object{"rule": r})
}

// elements adds a command for elements of a set.
func (d *document) elements(verb string, t tableObject, s *Set, elements []*Element, listed *Objects) {
	if len(elements) == 0 {
		return
	}
	what := t.key(setKeyword(s), s.Name)
	list, _ := listed.blocks[what]["elem"].([]any)
	if len(list) != len(s.Elements) {
		d.fail(what)
		return
	}
	at := make(map[*Element]int, len(s.Elements))
	for i, e := range s.Elements {
		at[e] = i
	}
	chosen := make([]any, len(elements))
	for i, e := range elements {
		if subSecond(e.Timeout) && verb != "delete" {
			d.lost("timeout of element "+e.Key+" of "+what, "nft counts whole seconds")
		}
		if chosen[i] = bare(list[at[e]]); verb == "delete" {
			chosen[i] = keyOf(chosen[i], s.Map)
		}
	}
	o := t.object("name", s.Name)
	o["elem"] = chosen
	d.command(verb, object{"element": o})
}

// bare is an element without what is left of its time.
func bare(element any) any {
	switch e := element.(type) {
	case []any:
		list := slices.Clone(e)
		for i := range list {
			list[i] = bare(list[i])
		}
		return list
	case object:
		if inner, ok := e["elem"].(object); ok {
			kept := object{}
			for k, v := range inner {
				if k != "expires" {
					kept[k] = v
				}
			}
			return object{"elem": kept}
		}
	}
	return element
}

// keyOf is what an element of a set or map is found by.
func keyOf(element any, isMap bool) any {
	if pair, ok := element.([]any); ok && isMap && len(pair) > 0 {
		element = pair[0]
	}
	if o, ok := element.(object); ok {
		if inner, ok := o["elem"].(object); ok {
			return inner["val"]
		}
	}
	return element
}

// Objects is what nft says of tables in its JSON.
type Objects struct {
	blocks map[string]object   // by kind, family, table and name
	rules  map[string][]object // by chain, in their order
}

// ParseObjects reads listings that `nft -j list` wrote.
func ParseObjects(listings ...string) (*Objects, error) {
	o := &Objects{map[string]object{}, map[string][]object{}}
	for _, listing := range listings {
		if err := o.add(listing); err != nil {
			return nil, fmt.Errorf("read nft's JSON: %w", err)
		}
	}
	return o, nil
}

func (o *Objects) add(listing string) error {
	var doc struct {
		Objects []map[string]object `json:"nftables"`
	}
	decoder := json.NewDecoder(strings.NewReader(listing))
	decoder.UseNumber()
	if err := decoder.Decode(&doc); err != nil {
		return err
	}
	for _, one := range doc.Objects {
		for kind, b := range one {
			text := func(key string) string {
				s, _ := b[key].(string)
				return s
			}
			t := tableObject{text("family"), text("table")}
			if kind == "rule" {
				chain := t.key("chain", text("chain"))
				o.rules[chain] = append(o.rules[chain], b)
				continue
			}
			o.blocks[t.key(kind, text("name"))] = b
		}
	}
	return nil
}
