package nft

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// ErrNoScratch tells that this process may not make network namespaces: that
// takes CAP_SYS_ADMIN, which loading rules does not.
var ErrNoScratch = errors.New("no right to make a network namespace to try in (CAP_SYS_ADMIN)")

// InScratch runs f in a network namespace that exists for the moment: rules can
// be tried there that no packet meets. f must not start goroutines that use the
// network. The error is [ErrNoScratch] where there cannot be one.
func InScratch(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if errors.Is(err, unix.EPERM) {
			done <- ErrNoScratch
			return
		}
		if err != nil {
			done <- fmt.Errorf("make a network namespace to try in: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}
