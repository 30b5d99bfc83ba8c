// Package config is what a user may set, and where each value came from.
//
// A key is described once, in [Keys]: its name in the file, its default, its
// documentation. The flag and the variable of the environment follow from the
// name, and so do the table of examples/config and the output of `weft config view`,
// so none of them can lag behind. A flag goes before the environment, the
// environment before the file, the file before the default.
package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/go-multierror"

	"weft/state/kube"
	"weft/state/static"
	"weft/state/strict"
)

// Config is the effective configuration.
type Config struct {
	Node      string         `yaml:"node"`
	State     string         `yaml:"state"`
	Templates string         `yaml:"templates"`
	Vars      map[string]any `yaml:"vars"`
	Source    string         `yaml:"source"`
	Static    static.Config  `yaml:"static"`

	Kubeconfig        string                 `yaml:"kubeconfig"`
	Context           string                 `yaml:"context"`
	Namespaces        Names                  `yaml:"namespaces"`
	Selector          Selector               `yaml:"selector"`
	MinNodes          int                    `yaml:"minNodes"`
	NodePortAddresses kube.NodePortAddresses `yaml:"nodePortAddresses"`
	Events            bool                   `yaml:"events"`

	MinInterval Duration `yaml:"minInterval"`
	MaxInterval Duration `yaml:"maxInterval"`

	Measure Measure `yaml:",inline"`
	Weight  Weight  `yaml:",inline"`

	FailAfter     Duration `yaml:"failAfter"`
	CleanupOnExit bool     `yaml:"cleanupOnExit"`
	History       string   `yaml:"history"`
	HistoryLimit  int      `yaml:"historyLimit"`
	Lock          string   `yaml:"lock"`
	Nft           string   `yaml:"nft"`

	Listen             string `yaml:"listen"`
	MetricsListen      string `yaml:"metricsListen"`
	MetricsPerEndpoint bool   `yaml:"metricsPerEndpoint"`
	Socket             string `yaml:"socket"`
	Traffic            bool   `yaml:"traffic"`

	LogLevel  string `yaml:"logLevel"`
	LogFormat string `yaml:"logFormat"`

	// File is where the configuration was read from, or empty.
	File string `yaml:"-"`
	// Origins says for each key where its value came from.
	Origins map[string]string `yaml:"-"`
}

// Duration is a time.Duration that YAML and the environment write as 10m.
type Duration time.Duration

// UnmarshalText reads Go's form of a duration; 0 needs no unit.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err == nil && v < 0 {
		err = errors.New("negative")
	}
	*d = Duration(v)
	return err
}

// Expected says in words what UnmarshalText takes.
func (Duration) Expected() string { return "a duration such as 30s or 10m, or 0" }

// MarshalText writes Go's form of a duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d Duration) String() string { return time.Duration(d).String() }

// Key is one thing that can be set.
type Key struct {
	// Name in the file; Flag and Env follow from it.
	Name    string
	Default string
	Doc     string
	// FileOnly marks keys with values of more than one word.
	FileOnly bool
	// Switch marks keys that are true or false: their flag needs no value.
	Switch bool
	// Choices are the words that the key takes; nil for one that takes others.
	Choices []string

	set func(*Config, string) error
	get func(*Config) any
}

// Flag is the name of the key's flag, such as log-level.
func (k Key) Flag() string { return split(k.Name, '-') }

// Env is the name of the key's variable, such as WEFT_LOG_LEVEL.
func (k Key) Env() string { return "WEFT_" + strings.ToUpper(split(k.Name, '_')) }

func split(name string, by rune) string {
	var b strings.Builder
	for _, r := range name {
		if unicode.IsUpper(r) {
			b.WriteRune(by)
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// Keys lists all keys in the order of the documentation.
func Keys() []Key {
	return append([]Key{
		text("node", "", "name of this node; empty takes $NODE_NAME, then the host's name", func(c *Config) *string { return &c.Node }),
		text("state", "/run/weft/state.yaml", "the state file", func(c *Config) *string { return &c.State }),
		text("templates", "auto", "template set: auto, cascade, simplified, or a folder", func(c *Config) *string { return &c.Templates }),
		{Name: "vars", Doc: "vars for the templates, by name", FileOnly: true, get: func(c *Config) any { return c.Vars }},
		choice("source", "static", "where Services come from", func(c *Config) *string { return &c.Source }, "static", "kubernetes"),
		{Name: "static", Doc: "addresses, nodes and services of the source static", FileOnly: true, get: func(c *Config) any { return c.Static }},
		text("kubeconfig", "", "kubeconfig file of the source kubernetes; empty takes $KUBECONFIG, then the pod's ServiceAccount", func(c *Config) *string { return &c.Kubeconfig }),
		text("context", "", "context of the kubeconfig file; empty is the current one", func(c *Config) *string { return &c.Context }),
		parsed("namespaces", "", "namespaces whose Services are looked at, separated by commas; empty is all", func(c *Config) *Names { return &c.Namespaces }),
		parsed("selector", "", "label selector of the Services that are looked at, such as tier=web,!legacy; empty is all", func(c *Config) *Selector { return &c.Selector }),
		integer("minNodes", "2", "on how many nodes the endpoints of a Service must be, or it is left to kube-proxy", 1, 10000, func(c *Config) *int { return &c.MinNodes }),
		parsed("nodePortAddresses", "primary", "where the node takes traffic: primary (its first InternalIP of each family), all (its InternalIPs), or CIDRs separated by commas, which choose among its addresses", func(c *Config) *kube.NodePortAddresses { return &c.NodePortAddresses }),
		boolean("events", "true", "tell of wrong annotations by an Event on the Service", func(c *Config) *bool { return &c.Events }),
		parsed("minInterval", "100ms", "how long a burst of changes must pause to be written; a change after a pause is written at once", func(c *Config) *Duration { return &c.MinInterval }),
		parsed("maxInterval", "500ms", "the longest that a burst can delay a change", func(c *Config) *Duration { return &c.MaxInterval }),
		parsed("failAfter", "10m", "age of the state at which weft lets go; 0 is never", func(c *Config) *Duration { return &c.FailAfter }),
		boolean("cleanupOnExit", "false", "take the rules out when told to stop; otherwise the heartbeat ends them", func(c *Config) *bool { return &c.CleanupOnExit }),
		text("history", "/run/weft/history", "folder of the last transactions, for weft history and weft rollback; empty keeps none", func(c *Config) *string { return &c.History }),
		integer("historyLimit", "32", "how many transactions the history keeps at most, and half as many at least, 1 to 10000; together at most 64 MiB", 1, 10000, func(c *Config) *int { return &c.HistoryLimit }),
		text("lock", "", "file that only one applier holds; empty is one in /run/weft for each network namespace and table", func(c *Config) *string { return &c.Lock }),
		text("nft", "nft", "the nft program", func(c *Config) *string { return &c.Nft }),
		text("listen", "127.0.0.1:10289", "address for health checks, metrics and the page; empty is none", func(c *Config) *string { return &c.Listen }),
		text("metricsListen", "", "further address for metrics alone, such as :10290 for a Prometheus elsewhere", func(c *Config) *string { return &c.MetricsListen }),
		boolean("metricsPerEndpoint", "false", "metrics for each endpoint too: 350 bytes a scrape for each, or 110 without traffic", func(c *Config) *bool { return &c.MetricsPerEndpoint }),
		text("socket", "/run/weft/weft.sock", "unix socket that weft status asks; that of weft watch ends in -watch.sock; empty is none", func(c *Config) *string { return &c.Socket }),
		boolean("traffic", "true", "count new connections by endpoint, so that weft status, metrics and the page show the share that arrived beside the share that was asked for; takes CAP_NET_ADMIN and conntrack", func(c *Config) *bool { return &c.Traffic }),
		choice("logLevel", "info", "least important messages to log", func(c *Config) *string { return &c.LogLevel }, "debug", "info", "warn", "error"),
		choice("logFormat", "text", "form of the log on standard error", func(c *Config) *string { return &c.LogFormat }, "text", "json"),
	}, append(measureKeys(), weightKeys()...)...)
}

// Getenv looks up a variable of the environment, as os.LookupEnv does.
type Getenv func(string) (string, bool)

// Load reads the configuration. file may be empty: then there is none. flags
// are those that the user gave, by name.
func Load(file string, getenv Getenv, flags map[string]string) (*Config, error) {
	c := &Config{File: file, Origins: map[string]string{}}
	var problems *multierror.Error
	for _, k := range Keys() {
		c.Origins[k.Name] = "default"
		if k.set != nil {
			problems = multierror.Append(problems, k.set(c, k.Default))
		}
	}
	if file != "" {
		problems = multierror.Append(problems, c.readFile(file))
	}
	for _, k := range Keys() {
		problems = multierror.Append(problems, c.override(k, getenv, flags))
	}
	c.defaultNode(getenv)
	problems = multierror.Append(problems, c.Measure.check())
	problems.ErrorFormat = strict.Lines
	return c, problems.ErrorOrNil()
}

func (c *Config) readFile(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	if strict.Blank(data) {
		return nil
	}
	if err := strict.Decode(file, 1, data, c); err != nil {
		return err
	}
	top, err := keysOf(file, data)
	if err != nil {
		return err
	}
	for _, k := range Keys() {
		if _, ok := top[k.Name]; ok {
			c.Origins[k.Name] = fmt.Sprintf("%s:%d", file, strict.Line(data, 1, k.Name))
		}
	}
	c.resolve(filepath.Dir(file))
	return c.checkFile(file, data, top)
}

// resolve makes the paths of the file relative to its folder, so that it means
// the same wherever weft is started.
func (c *Config) resolve(folder string) {
	if !filepath.IsAbs(c.State) {
		c.State = filepath.Join(folder, c.State)
	}
	for _, path := range []*string{&c.History, &c.Socket, &c.Lock, &c.Kubeconfig} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(folder, *path)
		}
	}
	c.Measure.resolve(folder)
	if strings.ContainsRune(c.Templates, filepath.Separator) && !filepath.IsAbs(c.Templates) {
		c.Templates = filepath.Join(folder, c.Templates)
	}
}

// checkFile looks at the values that the decoder has no rules for.
func (c *Config) checkFile(file string, data []byte, top map[string]any) error {
	var problems []*strict.Problem
	doc := strict.Parse(file, 1, data)
	for _, k := range Keys() {
		if _, ok := top[k.Name]; k.set == nil || !ok {
			continue
		}
		value, _ := doc.Scalar(k.Name)
		if err := k.set(&Config{}, value); err != nil {
			problems = append(problems, &strict.Problem{File: file, Line: doc.Line(k.Name), Message: err.Error()})
		}
	}
	return strict.Join(problems)
}

// keysOf are the keys that the file holds.
func keysOf(file string, data []byte) (map[string]any, error) {
	top := map[string]any{}
	err := strict.Decode(file, 1, data, &top)
	return top, err
}

func (c *Config) override(k Key, getenv Getenv, flags map[string]string) error {
	if k.set == nil {
		return nil
	}
	value, ok := flags[k.Flag()]
	origin := "flag --" + k.Flag()
	if !ok {
		value, ok = getenv(k.Env())
		origin = "environment " + k.Env()
	}
	if !ok {
		return nil
	}
	if err := k.set(c, value); err != nil {
		return fmt.Errorf("%s: %w", origin, err)
	}
	c.Origins[k.Name] = origin
	return nil
}

func (c *Config) defaultNode(getenv Getenv) {
	if c.Node != "" {
		return
	}
	if name, ok := getenv("NODE_NAME"); ok && name != "" {
		c.Node, c.Origins["node"] = name, "environment NODE_NAME"
		return
	}
	if name, err := os.Hostname(); err == nil {
		c.Node, c.Origins["node"] = strings.ToLower(name), "name of the host"
	}
}

// Value is the effective value of a key.
func (c *Config) Value(k Key) any { return k.get(c) }
