package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// enableIPv6 undoes a default of the machine (containers often have it) that
// would leave the namespace without IPv6, and switches duplicate address
// detection off: it keeps addresses unusable for a second or two, the
// link-local ones too, which ask for neighbours on behalf of forwarded packets.
func enableIPv6(ns *Namespace) error {
	return ns.Do(func() error {
		if err := sysctl("net/ipv6/conf/default/accept_dad", "0"); err != nil {
			return err
		}
		for _, conf := range []string{"default", "all", "lo"} {
			if err := sysctl("net/ipv6/conf/"+conf+"/disable_ipv6", "0"); err != nil {
				return err
			}
		}
		return nil
	})
}

// enableForwarding makes the namespace a router.
func enableForwarding(ns *Namespace) error {
	return ns.Do(func() error {
		if err := sysctl("net/ipv4/ip_forward", "1"); err != nil {
			return err
		}
		return sysctl("net/ipv6/conf/all/forwarding", "1")
	})
}

// sysctl sets a value of the calling thread's namespace: that is where
// /proc/sys/net leads. A value that is right already is not written, so that a
// read-only /proc/sys with good defaults does.
func sysctl(name, value string) error {
	return writeSysctl("/proc/sys/", name, value)
}

func writeSysctl(root, name, value string) error {
	old, err := os.ReadFile(root + name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("this kernel has no %s%s", root, name)
	}
	if err == nil && string(bytes.TrimSpace(old)) == value {
		return nil
	}
	err = os.WriteFile(root+name, []byte(value), 0)
	if errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("%s is read-only here, and %s must be %s (in a container, run it with --privileged): %w", root, name, value, err)
	}
	if err != nil {
		return fmt.Errorf("set %s to %s: %w", name, value, err)
	}
	return nil
}
