package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// socketMode lets the owner of the agent's process and its group ask.
const socketMode = 0o660

// socket is a unix socket. What an agent that was killed left at its path is
// replaced; one that somebody answers on is not.
func socket(path string) listen {
	return listen{path, func(ctx context.Context) (net.Listener, error) {
		if err := clear(ctx, path); err != nil {
			return nil, err
		}
		l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
		if err != nil {
			return nil, err
		}
		if err := os.Chmod(path, socketMode); err != nil {
			return nil, errors.Join(err, l.Close())
		}
		return l, nil
	}}
}

func clear(ctx context.Context, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make the folder of the socket: %w", err)
	}
	there, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if there.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s is no socket, so it stays", path)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err == nil {
		return errors.Join(fmt.Errorf("another weft answers on %s: the key socket can name another", path), conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}
