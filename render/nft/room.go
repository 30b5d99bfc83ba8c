package nft

import (
	"bytes"
	"errors"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// memoryPerByte is how much memory nft 1.0.6 takes for a byte of text: 44 bytes
// for rules, 63 for maps (2,768 ServicePorts of ten endpoints in either set).
const memoryPerByte = 64

// leastRoom is what nft gets at a time on a machine without any memory left: whom
// the kernel then ends is its own choice.
const leastRoom = 256 << 10

// Room is how many bytes of a text of some size nft should get at a time at most: as
// many as it can read in half of the memory that the machine, and each control group
// around this process, has left. For a text that nft gets at once in any case nobody
// looks how much that is.
func (r Runner) Room(size int) int {
	switch {
	case r.Largest > 0:
		return r.Largest
	case size <= leastRoom:
		return leastRoom
	}
	left := availableMemory("/proc/meminfo", "/proc/self/cgroup", "/sys/fs/cgroup")
	if left < 0 {
		return maxText
	}
	return int(min(max(left/2/memoryPerByte, leastRoom), maxText))
}

// maxText bounds a transaction where memory does not: no template set makes more.
const maxText = 1 << 30

// availableMemory is in bytes, -1 if nobody says.
func availableMemory(meminfo, cgroup, root string) int64 {
	left := int64(-1)
	text, _ := os.ReadFile(meminfo) // a system without it has no bound that is known
	for line := range bytes.Lines(text) {
		if f := strings.Fields(string(line)); len(f) == 3 && f[0] == "MemAvailable:" {
			if n, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				left = n << 10
			}
		}
	}
	text, _ = os.ReadFile(cgroup)
	for line := range bytes.Lines(text) {
		group, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "0::/")
		if !ok {
			continue
		}
		for ; ; group = path.Dir(group) {
			left = lesser(left, groupMemory(path.Join(root, group)))
			if group == "." || group == "" || group == "/" {
				break
			}
		}
	}
	return left
}

// groupMemory is what a control group may still take, -1 where it has no bound.
func groupMemory(folder string) int64 {
	most, errMost := bytesIn(path.Join(folder, "memory.max"))
	used, errUsed := bytesIn(path.Join(folder, "memory.current"))
	if errMost != nil || errUsed != nil {
		return -1
	}
	return max(0, most-used)
}

func bytesIn(file string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

// lesser is the lesser bound; a negative one is none.
func lesser(a, b int64) int64 {
	switch {
	case a < 0:
		return b
	case b < 0:
		return a
	}
	return min(a, b)
}

// tooLarge is what nft 1.0.6 and the C library say of memory that nobody has, and
// of a message that the kernel does not take. It takes them of any size from who
// has CAP_NET_ADMIN in the first user namespace, and in all others at most
// net.core.wmem_default bytes, which are 212,992: 40 ServicePorts of ten endpoints.
var tooLarge = []string{"Message too long", "Memory allocation failure", "Cannot allocate memory", "No buffer space available"}

// TooLarge reports whether a transaction failed because of its size: smaller ones
// may not. Of an nft that was killed, perhaps since it took too much memory, nobody
// knows what it did before.
func TooLarge(err error) bool {
	var refused *Error
	if !errors.As(err, &refused) {
		return false
	}
	return slices.ContainsFunc(tooLarge, func(text string) bool { return strings.Contains(refused.Stderr, text) })
}
