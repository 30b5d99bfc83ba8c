// Package overview is one look at weft: what running agents say of themselves
// through their sockets, and what files say when none runs.
//
// The watcher and the applier may be two processes with a socket each. What they
// have in common is the state file, so that one look can put them together.
package overview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"syscall"
	"time"

	"weft/cmd/weft/serve"
	"weft/render/history"
	"weft/state"
	"weft/state/status"
)

// Overview is what is known. Its names are stable: scripts read it.
type Overview struct {
	APIVersion string    `json:"apiVersion" yaml:"apiVersion"`
	Kind       string    `json:"kind" yaml:"kind"`
	Time       time.Time `json:"time" yaml:"time"`
	Node       string    `json:"node,omitempty" yaml:"node,omitempty"`
	// Running says whether an agent answered.
	Running bool `json:"running" yaml:"running"`
	// Agents are those that did.
	Agents []status.Status `json:"agents,omitempty" yaml:"agents,omitempty"`
	// State is the state file, where no agent told of it.
	State *File `json:"state,omitempty" yaml:"state,omitempty"`
	// Unknown is what could not be told, and why.
	Unknown []string `json:"unknown,omitempty" yaml:"unknown,omitempty"`
	// Traffic is absent if connections are not counted.
	Traffic      *status.Traffic      `json:"traffic,omitempty" yaml:"traffic,omitempty"`
	Nodes        []status.Node        `json:"nodes,omitempty" yaml:"nodes,omitempty"`
	ServicePorts []status.ServicePort `json:"servicePorts,omitempty" yaml:"servicePorts,omitempty"`
	Transactions []Transaction        `json:"transactions,omitempty" yaml:"transactions,omitempty"`

	// mute is set if an agent is there and does not answer us.
	mute bool
}

// File is a state file.
type File struct {
	Path       string    `json:"path" yaml:"path"`
	Generation uint64    `json:"generation" yaml:"generation"`
	Written    time.Time `json:"written,omitzero" yaml:"written,omitempty"`
}

// Transaction is one of the last in the history, oldest first.
type Transaction struct {
	ID         uint64         `json:"id" yaml:"id"`
	Time       time.Time      `json:"time" yaml:"time"`
	Generation uint64         `json:"generation" yaml:"generation"`
	Set        string         `json:"set" yaml:"set"`
	Result     history.Result `json:"result" yaml:"result"`
	Message    string         `json:"message,omitempty" yaml:"message,omitempty"`
}

// maxTransactions is how many transactions an Overview has.
const maxTransactions = 5

// Healthy reports whether an agent runs and nothing is wrong with any.
func (o *Overview) Healthy() bool {
	return o.Running && !slices.ContainsFunc(o.Agents, func(s status.Status) bool { return !s.Health.Healthy })
}

// Sources are where to look.
type Sources struct {
	// Sockets are those of agents.
	Sockets []string
	// StateFile is read if no agent answers.
	StateFile string
	History   *history.Log
}

// Look takes a look. What cannot be told is said in the Overview.
func Look(ctx context.Context, from Sources) *Overview {
	o := &Overview{APIVersion: status.APIVersion, Kind: "Overview", Time: time.Now()}
	for _, socket := range from.Sockets {
		report, err := Ask(ctx, socket)
		switch {
		case err == nil:
			o.take(report)
		case !absent(err):
			o.Unknown, o.mute = append(o.Unknown, err.Error()), true
		}
	}
	if !o.Running {
		o.readState(from.StateFile)
	}
	o.readHistory(from.History)
	return o
}

// take enters what an agent said. An applier knows more of ServicePorts than a
// watcher: it goes before.
func (o *Overview) take(r *status.Report) {
	applies := slices.Contains(r.Agent.Parts, status.Applier)
	o.Running, o.Node = true, r.Node
	o.Agents = append(o.Agents, r.Status)
	if o.Nodes == nil && o.ServicePorts == nil || applies {
		o.Nodes, o.ServicePorts, o.Traffic = r.Nodes, r.ServicePorts, r.Traffic
	}
}

func (o *Overview) readState(path string) {
	text, err := os.ReadFile(path)
	var st *state.State
	if err == nil {
		st, err = state.Decode(path, text)
	}
	if err != nil {
		o.Unknown = append(o.Unknown, fmt.Sprintf("read state: %v", err))
		return
	}
	report := status.NewReport(status.Status{State: st}, nil)
	o.Node, o.State = st.Node, &File{path, st.Generation, st.Written}
	o.Nodes, o.ServicePorts = report.Nodes, report.ServicePorts
}

func (o *Overview) readHistory(log *history.Log) {
	entries, err := log.List()
	if err != nil {
		o.Unknown = append(o.Unknown, err.Error())
	}
	for _, e := range entries[max(0, len(entries)-maxTransactions):] {
		o.Transactions = append(o.Transactions, Transaction{e.ID, e.Time, e.Generation, e.Set, e.Result, e.Message})
	}
}

// askTime bounds a question: an agent answers at once or hangs.
const askTime = 10 * time.Second

// Ask asks the agent on a socket.
func Ask(ctx context.Context, socket string) (*status.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://weft"+serve.StatusPath, nil)
	if err != nil {
		return nil, err
	}
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask weft on %s: %w", socket, errors.Unwrap(err))
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask weft on %s: got %s", socket, answer.Status)
	}
	return decode(answer.Body, socket)
}

// decode refuses what another version of weft may mean otherwise.
func decode(body io.Reader, socket string) (*status.Report, error) {
	var report status.Report
	if err := json.NewDecoder(body).Decode(&report); err != nil {
		return nil, fmt.Errorf("understand weft on %s: %w", socket, err)
	}
	if report.APIVersion != status.APIVersion {
		return nil, fmt.Errorf("understand weft on %s: got apiVersion %q, expected %s", socket, report.APIVersion, status.APIVersion)
	}
	return &report, nil
}

// absent says that no agent is there, and not that one cannot be asked.
func absent(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED)
}

// Has reports whether there is a ServicePort that the name means.
func (o *Overview) Has(name string) bool {
	return slices.ContainsFunc(o.ServicePorts, func(p status.ServicePort) bool { return p.Is(name) })
}
