package kube

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// contact knows whether the API server is heard: for each thing that is listed
// and watched, whether a watch stands now, and else since when none does. It
// looks at the requests themselves, since an informer tells of failures alone,
// and a quiet watch is not to be told from a dead one by its events. A connection
// that breaks without a word ends its watches within a minute: client-go pings.
type contact struct {
	next http.RoundTripper
	// back is called when all is heard again after something was not, or for the
	// first time. All is want paths.
	back func()
	want int
	// failed is called with why a request got no answer at all: reflectors keep
	// a refused connection to themselves.
	failed func(error)

	mu    sync.Mutex
	lines map[string]*line // by the path of the request
}

type line struct {
	watches int       // that stand
	heard   time.Time // when something was heard last, if no watch stands
}

// RoundTrip notes what came of a request.
func (c *contact) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := c.next.RoundTrip(request)
	if err != nil && request.Context().Err() == nil {
		c.failed(err)
	}
	if request.Method != http.MethodGet || err != nil || response.StatusCode != http.StatusOK {
		return response, err
	}
	path := request.URL.Path
	watch := request.URL.Query().Get("watch")
	if watch != "true" && watch != "1" {
		return response, err
	}
	c.opened(path)
	response.Body = &watched{ReadCloser: response.Body, closed: sync.OnceFunc(func() { c.closed(path) }), failed: c.failed}
	return response, err
}

// watched is the body of a watch, which tells when it ends.
type watched struct {
	io.ReadCloser
	closed func()
	failed func(error)
}

// connectionLost is in the error of a connection on which a ping was not answered
// (golang.org/x/net/http2, errClientConnLost). It is told at once: who asks again
// on a way that leads nowhere hears nothing for half a minute. Other ends of a
// watch are told by the request after it, if that fails, too.
const connectionLost = "client connection lost"

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.ReadCloser.Read(b)
	if err != nil {
		w.closed()
		if strings.Contains(err.Error(), connectionLost) {
			w.failed(err)
		}
	}
	return n, err
}

func (w *watched) Close() error {
	w.closed()
	return w.ReadCloser.Close()
}

func (c *contact) opened(path string) {
	c.mu.Lock()
	l := c.lines[path]
	if l == nil {
		l = &line{}
		c.lines[path] = l
	}
	l.watches++
	back := l.watches == 1 && len(c.lines) >= c.want && c.lost().IsZero()
	c.mu.Unlock()
	if back && c.back != nil {
		c.back()
	}
}

func (c *contact) closed(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.lines[path]; l != nil {
		if l.watches--; l.watches == 0 {
			l.heard = time.Now()
		}
	}
}

// since is when something was last heard of all, zero if all is heard now.
func (c *contact) since() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost()
}

func (c *contact) lost() (earliest time.Time) {
	for _, l := range c.lines {
		if l.watches == 0 && (earliest.IsZero() || l.heard.Before(earliest)) {
			earliest = l.heard
		}
	}
	return earliest
}
