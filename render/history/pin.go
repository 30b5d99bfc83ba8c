package history

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"weft/state/replace"
)

// PinFile is the path to follow in order to learn of pins in a folder. It has a folder
// of its own, so that entries that come and go do not wake who follows it.
func PinFile(folder string) string { return filepath.Join(folder, "pin", "entry") }

// MakePinFolder makes the folder of [PinFile].
func MakePinFolder(folder string) error { return os.MkdirAll(filepath.Dir(PinFile(folder)), 0o755) }

// Pin makes an entry the one that a running agent loads, whatever the state and
// the templates say, until [Release]. The pin is a copy of the entry, so it
// stays when the history lets the entry go.
func Pin(folder string, e Entry) error {
	if folder == "" {
		return errors.New("pin a ruleset: there is no history")
	}
	data, _, err := encode(e)
	if err == nil {
		err = MakePinFolder(folder)
	}
	if err == nil {
		_, err = replace.File(PinFile(folder), data)
	}
	if err != nil {
		return fmt.Errorf("pin entry %d: %w", e.ID, err)
	}
	return nil
}

// Pinned is the entry that is pinned, and whether there is one. After an error
// that cannot be told, and what was so before should stay.
func Pinned(folder string) (Entry, bool, error) {
	if folder == "" {
		return Entry{}, false, nil
	}
	data, err := os.ReadFile(PinFile(folder))
	if isNowhere(err) {
		return Entry{}, false, nil
	}
	var e Entry
	if err == nil {
		e, _, err = decode(data, func(uint64) (Entry, string, error) { return Entry{}, "", ErrNoEntry })
	}
	if err != nil {
		return Entry{}, false, fmt.Errorf("read the pin %s: %w", PinFile(folder), err)
	}
	return e, true, nil
}

// isNowhere reports whether the file, or the folder that it would be in, is not
// there.
func isNowhere(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// Release takes the pin away, and reports whether there was one.
func Release(folder string) (bool, error) {
	if folder == "" {
		return false, nil
	}
	err := os.Remove(PinFile(folder))
	if isNowhere(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("release the pin: %w", err)
	}
	return true, nil
}
