package e2e

import (
	"errors"
	"io"
	"net/netip"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"weft/examples/lab"
)

// closers are what ends with a script.
type closers struct {
	all []io.Closer
	way *lab.Far // from node1 to the API server; nil is the segment
}

// Close closes them all.
func (c *closers) Close() error {
	var errs []error
	for _, one := range c.all {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}

func ends(ts *testscript.TestScript) *closers { return ts.Value("close").(*closers) }

// serve answers on a machine, for host-network endpoints.
func (s *stage) serve(ts *testscript.TestScript, _ bool, args []string) {
	_, to := s.target(ts, "tcp", args[0])
	var host string
	for _, node := range s.Nodes {
		if node.IPv4 == to.Addr() {
			host = node.Host.Host
		}
	}
	server, err := lab.Serve(s.host(ts, host).Namespace, to, host)
	ts.Check(err)
	ends(ts).all = append(ends(ts).all, server)
}

// far leads what node1 and the API server have to say to each other over a link
// that takes its time.
func (s *stage) far(ts *testscript.TestScript, _ bool, args []string) {
	if args[0] == "cut" {
		ends(ts).way.Cut(true)
		return
	}
	delay, err := time.ParseDuration(args[0])
	ts.Check(err)
	way := ends(ts).way
	if way == nil {
		way, err = s.detour(delay)
		ts.Check(err)
		ends(ts).way, ends(ts).all = way, append(ends(ts).all, way)
	}
	way.SetDelay(delay)
	way.Cut(false)
}

// detour puts a link between node1 and the control plane. The routes end with it.
func (s *stage) detour(delay time.Duration) (*lab.Far, error) {
	here, there := s.Node(), s.Control
	way, err := lab.Between(here.Namespace, there.Namespace, "far0", netip.MustParsePrefix("10.99.0.1/30"), netip.MustParsePrefix("10.99.0.2/30"), delay)
	if err != nil {
		return nil, err
	}
	for from, to := range map[*lab.Host]*lab.Host{&here.Host: there, there: &here.Host} {
		if _, err := from.Run("ip", "route", "add", to.IPv4.String()+"/32", "dev", "far0", "src", from.IPv4.String()); err != nil {
			return nil, errors.Join(err, way.Close())
		}
	}
	return way, nil
}
