package usage

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// stat is what /proc/stat says of CPUs; see proc(5).
type stat struct {
	times [kinds]uint64 // of all of them together, in ticks since the node started
	cores int
}

// What CPUs do, in the order of the file. User and nice hold the times of guests, which
// come last and are left out.
const (
	user = iota
	nice
	system
	idle
	iowait
	irq
	softirq
	steal
	kinds
)

// readStat reads the lines of CPUs, which come first. A library that takes the whole
// file apart, with a number for each interrupt, was a seventh of an idle agent's CPU time.
func readStat(path string) (s stat, err error) {
	// Opened by os it would be polled, for which another thread wakes up.
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return stat{}, &os.PathError{Op: "open", Path: path, Err: err}
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	if s, err = parseStat(bufio.NewReader(file)); err != nil {
		return stat{}, fmt.Errorf("read %s: %w", path, err)
	}
	return s, nil
}

// parseStat reads "cpu " with the times of all, and a line such as "cpu0" for each core.
// Of the line behind them, which may be longer than the buffer, it takes the beginning.
func parseStat(lines *bufio.Reader) (s stat, err error) {
	line, err := lines.ReadSlice('\n')
	times, isAll := bytes.CutPrefix(line, []byte("cpu "))
	if !isAll {
		return stat{}, cmp.Or(failure(err), fmt.Errorf("got %q, expected the line of all CPUs", bytes.TrimSpace(line)))
	}
	if s.times, err = parseTimes(times); err != nil {
		return stat{}, err
	}
	for {
		line, err := lines.ReadSlice('\n')
		if !bytes.HasPrefix(line, []byte("cpu")) {
			return s, failure(err)
		}
		s.cores++
	}
}

// failure is an error of reading, which neither the end nor a long line is.
func failure(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, bufio.ErrBufferFull) {
		return nil
	}
	return err
}

// parseTimes reads "user nice system idle ...". What an old kernel does not count is 0.
func parseTimes(text []byte) (times [kinds]uint64, err error) {
	for i, field := range bytes.Fields(text) {
		if i == kinds {
			break
		}
		if times[i], err = strconv.ParseUint(string(field), 10, 64); err != nil {
			return times, fmt.Errorf("got %q, expected the ticks of all CPUs", field)
		}
	}
	return times, nil
}

// busy is the part of the time between two readings in which the CPUs did not wait
// for something to do. Time that a hypervisor took away (steal) counts as busy: it
// is not there for requests. It is not known when no time passed.
//
// The idle times of a kernel may go back a little (see proc(5) on iowait), so each
// is taken by itself and never for negative.
func busy(before, now stat) (ratio float64, ok bool) {
	var waited, all float64
	for kind, ticks := range now.times {
		grown := float64(ticks - min(ticks, before.times[kind]))
		if all += grown; kind == idle || kind == iowait {
			waited += grown
		}
	}
	ratio = (all - waited) / all // no number where no time passed
	return ratio, ratio >= 0 && ratio <= 1
}
