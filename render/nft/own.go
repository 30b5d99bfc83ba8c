package nft

import (
	"sync"
	"time"
)

// Own knows which transactions are weft's. A transaction's notifications carry
// the port of the netlink socket that sent it. Heart's socket keeps its port as
// long as it is open. The nft program gets its process id for a port, as every
// process does whose first socket it is, so a [Runner] notes the ids of the
// programs that it starts, before they can commit anything that a
// [Subscription] would ask about.
//
// The process id that the notifications carry too is no help in a container:
// the kernel gives that of the initial process namespace. The generation is
// none either, since somebody else may commit between the two reads.
//
// An nft that finds its port taken, by a process of another process namespace,
// gets another, so that its transaction counts as foreign. That is the safe
// mistake: it costs a proof, and nothing else.
//
// The zero value is ready. It may be used by several goroutines.
type Own struct {
	mu      sync.Mutex
	sockets map[uint32]bool
	// runs are programs by their process id, with the time of their end; zero
	// while they run.
	runs map[uint32]time.Time
}

// remembered is how long the process id of a program that ended is still
// weft's: longer than a subscription takes to read what waits for it, and
// shorter than the machine takes to use all process ids once.
const remembered = time.Minute

// open notes a socket, closed forgets it.
func (o *Own) open(port uint32) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sockets == nil {
		o.sockets = map[uint32]bool{}
	}
	o.sockets[port] = true
}

func (o *Own) closed(port uint32) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.sockets, port)
}

// start runs a function that starts a program, and notes its process id before
// anybody can ask whose the program's transaction is.
func (o *Own) start(program func() (pid int, err error)) error {
	if o == nil {
		_, err := program()
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	pid, err := program()
	if err != nil {
		return err
	}
	if o.runs == nil {
		o.runs = map[uint32]time.Time{}
	}
	o.forget()
	o.runs[uint32(pid)] = time.Time{}
	return nil
}

// ended notes the end of a program.
func (o *Own) ended(pid int) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.runs[uint32(pid)] = time.Now()
}

// wrote reports whether weft sent a transaction from the port, and whether that
// was a heartbeat.
func (o *Own) wrote(port uint32) (own, beat bool) {
	if o == nil {
		return false, false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forget()
	_, program := o.runs[port]
	beat = o.sockets[port]
	return program || beat, beat
}

func (o *Own) forget() {
	now := time.Now()
	for pid, end := range o.runs {
		if !end.IsZero() && now.Sub(end) > remembered {
			delete(o.runs, pid)
		}
	}
}
