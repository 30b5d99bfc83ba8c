package nft

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// InScratch runs f in a network namespace that exists for the moment: rules can
// be tried there that no packet meets. f must not start goroutines that use the
// network.
func InScratch(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("make a network namespace to try in: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}
