package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// writeRules lists what each change of an agent's rules was made of.
func writeRules(path string, r *outcome) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the changes of rules: %w", err)
	}
	w := csv.NewWriter(f)
	err = w.Write([]string{"seconds", "agent", "generation", "node", "share", "target", "latency", "trim", "guard", "held"})
	for _, c := range r.changes {
		var held []string
		for _, h := range c.why.Held {
			held = append(held, string(h))
		}
		for _, f := range c.why.Factors {
			err = errors.Join(err, w.Write([]string{
				number(c.at.Seconds()), strconv.Itoa(c.agent), strconv.FormatUint(c.generation, 10), f.Node,
				number(f.Share), number(f.Target), optional(f.Latency), optional(f.Trim), optional(f.Guard), strings.Join(held, " "),
			}))
		}
	}
	w.Flush()
	if err := errors.Join(err, w.Error(), f.Close()); err != nil {
		return fmt.Errorf("write the changes of rules: %w", err)
	}
	return nil
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', 4, 64) }

func optional(v *float64) string {
	if v == nil {
		return ""
	}
	return number(*v)
}
