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

// events is a heap with the next event first. Each has four below it, which takes
// fewer steps than two.
type events []event

const below = 4

func (h *events) push(e event) {
	*h = append(*h, e)
	s, i := *h, len(*h)-1
	for i > 0 {
		up := (i - 1) / below
		if s[up].at <= e.at {
			break
		}
		s[i] = s[up]
		i = up
	}
	s[i] = e
}

func (h *events) pop() event {
	s := *h
	first, last := s[0], s[len(s)-1]
	s[len(s)-1] = event{}
	s = s[:len(s)-1]
	*h = s
	for i := 0; len(s) > 0; {
		least := i*below + 1
		if least >= len(s) {
			s[i] = last
			break
		}
		for j, end := least+1, min(least+below, len(s)); j < end; j++ {
			if s[j].at < s[least].at {
				least = j
			}
		}
		if last.at <= s[least].at {
			s[i] = last
			break
		}
		s[i] = s[least]
		i = least
	}
	return first
}
