package main

import (
	"os"
	"path/filepath"
)

// timerSlack is by how much the pauses of the agent's threads may be longer, in
// nanoseconds.
const timerSlack = "1000000"

// slacken lets the pauses of the agent's threads, and of those that they start, be a
// millisecond longer (timerslack_ns in proc(5)); else it is 50 microseconds. While
// anything runs, one of Go's own threads pauses for 20 microseconds again and again, to
// see that nothing runs for too long: that was two of three times that a small change
// woke up a processor, and 5 to 20 percent of its work. Nothing of weft waits for less
// than milliseconds. Where weft may not do that, in a container without CAP_SYS_NICE, all
// goes on as it is.
func slacken() {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, t := range threads {
		_ = os.WriteFile(filepath.Join("/proc", t.Name(), "timerslack_ns"), []byte(timerSlack), 0)
	}
}
