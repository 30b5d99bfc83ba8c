package controlplane

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// oldEtcd is Debian's etcd 3.4, on which kube-apiserver has no watch-list. Its
// package is unpacked, not installed: an installed one would run a service.
const oldEtcd = "etcd-debian"

// OldEtcd is the path of Debian's etcd. The error is [ErrMissing] where
// [Compile] has not got it.
func OldEtcd() (string, error) {
	cache, err := folder()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, oldEtcd, "usr/bin/etcd")
	if _, err := os.Stat(path); err != nil {
		return "", ErrMissing
	}
	return path, nil
}

// fetchOldEtcd unpacks Debian's package into the cache.
func fetchOldEtcd(ctx context.Context, cache string, out io.Writer) error {
	final := filepath.Join(cache, oldEtcd)
	if _, err := os.Stat(final); err == nil {
		return nil
	}
	partial := final + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return fmt.Errorf("clear the cache folder: %w", err)
	}
	defer os.RemoveAll(partial)
	if err := os.Mkdir(partial, 0o755); err != nil {
		return fmt.Errorf("unpack Debian's etcd: %w", err)
	}
	script := `apt-get download etcd-server || { apt-get update && apt-get download etcd-server; } && dpkg-deb -x etcd-server_*.deb . && rm etcd-server_*.deb && usr/bin/etcd --version`
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	cmd.Dir = partial
	said, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("get Debian's package etcd-server: %w: %s", err, gist(string(said)))
	}
	if err := os.Rename(partial, final); err != nil {
		return fmt.Errorf("put Debian's etcd in its place: %w", err)
	}
	fmt.Fprintf(out, "unpacked Debian's etcd: %s\n", final)
	return nil
}
