package main

// event is something that happens at a time.
type event struct {
	at   float64
	do   kind
	who  int // the entry node, or the agent's
	conn *conn
}

type kind uint8

const (
	arrive  kind = iota // a new connection at an entry node
	request             // the next request of a connection
	finish              // a connection ends
	tick                // an agent weighs
	ask                 // an agent probes
	scrape              // Prometheus reads a node
)

// events is a heap with the next event first.
type events []event

func (h *events) push(e event) {
	*h = append(*h, e)
	s := *h
	for i := len(s) - 1; i > 0; {
		up := (i - 1) / 2
		if s[up].at <= s[i].at {
			break
		}
		s[up], s[i] = s[i], s[up]
		i = up
	}
}

func (h *events) pop() event {
	s := *h
	first, n := s[0], len(s)-1
	s[0] = s[n]
	s[n] = event{}
	*h = s[:n]
	for i := 0; ; {
		least := 2*i + 1
		if least >= n {
			return first
		}
		if r := least + 1; r < n && s[r].at < s[least].at {
			least = r
		}
		if s[i].at <= s[least].at {
			return first
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
}
