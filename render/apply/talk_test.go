package apply_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"weft/examples/lab"
)

// talkPort is where the servers of [talk] listen.
const talkPort = 9090

// talk starts a server in the pod that answers each line with the pod's name and
// the address that it sees, and keeps the connection, until the test ends.
func talk(t *testing.T, pod *lab.Host) {
	t.Helper()
	var listener net.Listener
	err := pod.Do(func() (err error) {
		var config net.ListenConfig
		config.SetMultipathTCP(false) // a namespace may not have it
		listener, err = config.Listen(context.Background(), "tcp", fmt.Sprintf("[::]:%d", talkPort))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			serving.Go(func() { answer(conn, pod.Host) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		for _, conn := range conns {
			_ = conn.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
}

func answer(conn net.Conn, name string) {
	defer conn.Close()
	peer := netip.MustParseAddrPort(conn.RemoteAddr().String()).Addr().Unmap()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if _, err := fmt.Fprintln(conn, name, peer); err != nil {
			return
		}
	}
}

// conversation is a connection to a server of [talk].
type conversation struct {
	conn net.Conn
	in   *bufio.Reader
}

// dial opens a connection that ends with the test. from is the client's address,
// or the zero Addr.
func dial(t *testing.T, ns *lab.Namespace, from netip.Addr, to netip.AddrPort) *conversation {
	t.Helper()
	var conn net.Conn
	err := ns.Do(func() (err error) {
		dialer := net.Dialer{Timeout: 5 * time.Second}
		if from.IsValid() {
			dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
		}
		conn, err = dialer.Dial("tcp", to.String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &conversation{conn, bufio.NewReader(conn)}
}

func (c *conversation) close() { _ = c.conn.Close() }

// ask says a line and returns who answers, and whom that one sees.
func (c *conversation) ask(t *testing.T) (name, peer string) {
	t.Helper()
	if err := c.conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c.conn, "who?\n"); err != nil {
		t.Fatal(err)
	}
	line, err := c.in.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	name, peer, _ = strings.Cut(strings.TrimSpace(line), " ")
	return name, peer
}
