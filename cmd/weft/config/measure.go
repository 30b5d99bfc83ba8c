package config

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"
	prometheus "github.com/prometheus/common/config"

	"weft/state/probe"
	"weft/state/usage"
)

// Off is the value of probe and cpu for not measuring at all.
const Off = "off"

// The values of cpu.
const (
	FromPeers      = "peer"
	FromPrometheus = "prometheus"
)

// Measure is how nodes are measured.
type Measure struct {
	Probe         string   `yaml:"probe"`
	ProbeInterval Duration `yaml:"probeInterval"`
	ProbeTimeout  Duration `yaml:"probeTimeout"`
	ProbePort     int      `yaml:"probePort"`
	ProbeKeyFile  string   `yaml:"probeKeyFile"`
	ProbePath     string   `yaml:"probePath"`

	CPU string `yaml:"cpu"`

	PrometheusURL          string   `yaml:"prometheusUrl"`
	PrometheusQuery        string   `yaml:"prometheusQuery"`
	PrometheusAge          string   `yaml:"prometheusAge"`
	PrometheusCores        string   `yaml:"prometheusCores"`
	PrometheusLabel        string   `yaml:"prometheusLabel"`
	PrometheusInterval     Duration `yaml:"prometheusInterval"`
	PrometheusTimeout      Duration `yaml:"prometheusTimeout"`
	PrometheusTokenFile    string   `yaml:"prometheusTokenFile"`
	PrometheusUser         string   `yaml:"prometheusUser"`
	PrometheusPasswordFile string   `yaml:"prometheusPasswordFile"`
	PrometheusCAFile       string   `yaml:"prometheusCaFile"`
	PrometheusCertFile     string   `yaml:"prometheusCertFile"`
	PrometheusKeyFile      string   `yaml:"prometheusKeyFile"`
	PrometheusServerName   string   `yaml:"prometheusServerName"`
	PrometheusInsecure     bool     `yaml:"prometheusInsecure"`
}

func measureKeys() []Key {
	return append([]Key{
		choice("probe", string(probe.ModePeer), "how the latency of nodes is measured, by asking their agents (and connecting where there is none), by connecting to endpoints, by asking those for a page, by a ping, or not at all", func(c *Config) *string { return &c.Measure.Probe },
			string(probe.ModePeer), string(probe.ModeTCP), string(probe.ModeHTTP), string(probe.ModeICMP), Off),
		atLeast("probeInterval", probe.DefaultInterval, 500*time.Millisecond, "time between two rounds of probes for a node; from 200 nodes on it is longer", func(c *Config) *Duration { return &c.Measure.ProbeInterval }),
		atLeast("probeTimeout", probe.DefaultTimeout, time.Millisecond, "how long a probe waits for its answer", func(c *Config) *Duration { return &c.Measure.ProbeTimeout }),
		integer("probePort", fmt.Sprint(probe.DefaultPort), "UDP port of the agents, the same on all nodes", 1, 65535, func(c *Config) *int { return &c.Measure.ProbePort }),
		text("probeKeyFile", "", "file with a secret of at least 16 characters that all agents share, to sign what they ask and answer; a second line is accepted too; empty signs nothing", func(c *Config) *string { return &c.Measure.ProbeKeyFile }),
		text("probePath", "/", "what probe http asks for", func(c *Config) *string { return &c.Measure.ProbePath }),
		choice("cpu", FromPeers, "who says how busy nodes are, their agents, a Prometheus, or nobody", func(c *Config) *string { return &c.Measure.CPU }, FromPeers, FromPrometheus, Off),
	}, prometheusKeys()...)
}

func prometheusKeys() []Key {
	return []Key{
		text("prometheusUrl", "", "where Prometheus is, such as http://prometheus.monitoring:9090", func(c *Config) *string { return &c.Measure.PrometheusURL }),
		text("prometheusQuery", "", "PromQL that gives for each node a number from 0 for idle to 1 for busy; empty takes the node exporter's CPU use", func(c *Config) *string { return &c.Measure.PrometheusQuery }),
		text("prometheusAge", "", "PromQL that gives for each node how many seconds old that is; empty belongs to the query that is built in, and beside another takes its samples for fresh", func(c *Config) *string { return &c.Measure.PrometheusAge }),
		text("prometheusCores", "", "PromQL that gives for each node how many cores it has; empty as with the age", func(c *Config) *string { return &c.Measure.PrometheusCores }),
		text("prometheusLabel", "", "label that names the node, by its name or its address; empty tries node, kubernetes_node, nodename, instance", func(c *Config) *string { return &c.Measure.PrometheusLabel }),
		atLeast("prometheusInterval", usage.DefaultInterval, time.Second, "time between two queries", func(c *Config) *Duration { return &c.Measure.PrometheusInterval }),
		atLeast("prometheusTimeout", usage.DefaultTimeout, time.Millisecond, "how long a query may take", func(c *Config) *Duration { return &c.Measure.PrometheusTimeout }),
		text("prometheusTokenFile", "", "file with the bearer token", func(c *Config) *string { return &c.Measure.PrometheusTokenFile }),
		text("prometheusUser", "", "user name, with a password file", func(c *Config) *string { return &c.Measure.PrometheusUser }),
		text("prometheusPasswordFile", "", "file with the password of the user", func(c *Config) *string { return &c.Measure.PrometheusPasswordFile }),
		text("prometheusCaFile", "", "file with the certificates of authorities to trust; empty trusts those of the machine", func(c *Config) *string { return &c.Measure.PrometheusCAFile }),
		text("prometheusCertFile", "", "file with the certificate to show", func(c *Config) *string { return &c.Measure.PrometheusCertFile }),
		text("prometheusKeyFile", "", "file with the key of that certificate", func(c *Config) *string { return &c.Measure.PrometheusKeyFile }),
		text("prometheusServerName", "", "name that the certificate of Prometheus must have; empty is that in the URL", func(c *Config) *string { return &c.Measure.PrometheusServerName }),
		boolean("prometheusInsecure", "false", "believe any certificate", func(c *Config) *bool { return &c.Measure.PrometheusInsecure }),
	}
}

// atLeast is a duration with a least value.
func atLeast(name string, value, least time.Duration, doc string, field func(*Config) *Duration) Key {
	return Key{
		Name: name, Default: value.String(), Doc: doc,
		set: func(c *Config, s string) error {
			var d Duration
			if err := d.UnmarshalText([]byte(s)); err != nil || time.Duration(d) < least {
				return fmt.Errorf("%s: got %q, expected a duration of at least %v, such as %v", name, s, least, value)
			}
			*field(c) = d
			return nil
		},
		get: func(c *Config) any { return *field(c) },
	}
}

// files are the values that are paths of files.
func (m *Measure) files() []*string {
	return []*string{
		&m.ProbeKeyFile, &m.PrometheusTokenFile, &m.PrometheusPasswordFile,
		&m.PrometheusCAFile, &m.PrometheusCertFile, &m.PrometheusKeyFile,
	}
}

func (m *Measure) resolve(folder string) {
	for _, path := range m.files() {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(folder, *path)
		}
	}
}

// check looks for values that make no sense together.
func (m *Measure) check() error {
	var problems *multierror.Error
	say := func(problem string) { problems = multierror.Append(problems, errors.New(problem)) }
	if m.CPU == FromPrometheus && m.PrometheusURL == "" {
		say("prometheusUrl: missing, expected where Prometheus is, for cpu is prometheus")
	}
	if (m.PrometheusUser == "") != (m.PrometheusPasswordFile == "") {
		say("prometheusUser and prometheusPasswordFile: got one of them, expected both or neither")
	}
	if m.PrometheusUser != "" && m.PrometheusTokenFile != "" {
		say("prometheusUser and prometheusTokenFile: got both, expected one of them")
	}
	if (m.PrometheusCertFile == "") != (m.PrometheusKeyFile == "") {
		say("prometheusCertFile and prometheusKeyFile: got one of them, expected both or neither")
	}
	if !strings.HasPrefix(m.ProbePath, "/") {
		say(fmt.Sprintf("probePath: got %q, expected a path such as /healthz", m.ProbePath))
	}
	return problems.ErrorOrNil()
}

// Usage is the same as package usage takes it.
func (m *Measure) Usage() usage.Options {
	o := usage.Options{
		URL: m.PrometheusURL, Query: m.PrometheusQuery, Age: m.PrometheusAge, Cores: m.PrometheusCores, Label: m.PrometheusLabel,
		Interval: time.Duration(m.PrometheusInterval), Timeout: time.Duration(m.PrometheusTimeout),
	}
	if o.Query == "" {
		o.Query = usage.DefaultQuery
		o.Age = cmp.Or(o.Age, usage.DefaultAge)
		o.Cores = cmp.Or(o.Cores, usage.DefaultCores)
	}
	o.Client = prometheus.DefaultHTTPClientConfig
	o.Client.TLSConfig = prometheus.TLSConfig{
		CAFile: m.PrometheusCAFile, CertFile: m.PrometheusCertFile, KeyFile: m.PrometheusKeyFile,
		ServerName: m.PrometheusServerName, InsecureSkipVerify: m.PrometheusInsecure,
	}
	if m.PrometheusTokenFile != "" {
		o.Client.Authorization = &prometheus.Authorization{Type: "Bearer", CredentialsFile: m.PrometheusTokenFile}
	}
	if m.PrometheusUser != "" {
		o.Client.BasicAuth = &prometheus.BasicAuth{Username: m.PrometheusUser, PasswordFile: m.PrometheusPasswordFile}
	}
	return o
}
