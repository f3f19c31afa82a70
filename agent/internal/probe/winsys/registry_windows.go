package winsys

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// Registry reads the registry of this PC. Hives are HKLM, and HKU\SID of a person who is
// signed in.
type Registry struct{}

// Value is a value of a key.
type Value struct {
	Name string
	Kind uint32
	Data []byte
}

const (
	maxValues  = 4096
	maxData    = 1 << 20
	maxSubkeys = 16384
)

func open(hive, key string, access uint32) (registry.Key, error) {
	root := registry.LOCAL_MACHINE
	if hive != "HKLM" {
		root = registry.USERS
		if key == "" {
			key = hive
		} else {
			key = hive + `\` + key
		}
	}
	k, err := registry.OpenKey(root, key, access|registry.WOW64_64KEY)
	if err != nil {
		return 0, keyError(key, err)
	}
	return k, nil
}

func keyError(key string, err error) error {
	if errors.Is(err, windows.ERROR_PATH_NOT_FOUND) {
		err = fs.ErrNotExist
	}
	return fmt.Errorf("open %s: %w", key, told(err))
}

// Values returns the values of a key, and when it was written last. The error wraps
// fs.ErrNotExist where there is no such key.
func (Registry) Values(hive, key string) (list []Value, changed time.Time, err error) {
	k, err := open(hive, key, registry.QUERY_VALUE)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer k.Close()
	if st, err := k.Stat(); err == nil {
		changed = st.ModTime().UTC()
	}
	names, err := k.ReadValueNames(maxValues)
	if err != nil && len(names) == 0 && !errors.Is(err, windows.ERROR_NO_MORE_ITEMS) && !errors.Is(err, io.EOF) {
		return nil, changed, keyError(key, err)
	}
	for _, name := range names {
		n, kind, err := k.GetValue(name, nil)
		if err != nil && !errors.Is(err, registry.ErrShortBuffer) || n > maxData {
			continue // gone by now, or nothing that starts anything
		}
		v := Value{Name: name, Kind: kind, Data: make([]byte, n)}
		if n > 0 {
			if n, v.Kind, err = k.GetValue(name, v.Data); err != nil {
				continue
			}
			v.Data = v.Data[:min(n, len(v.Data))]
		}
		list = append(list, v)
	}
	return list, changed, nil
}

// Subkeys returns the names of the keys below one.
func (Registry) Subkeys(hive, key string) ([]string, error) {
	k, err := open(hive, key, registry.ENUMERATE_SUB_KEYS)
	if err != nil {
		return nil, err
	}
	defer k.Close()
	names, err := k.ReadSubKeyNames(maxSubkeys)
	if len(names) > 0 {
		err = nil
	}
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	return names, err
}

// People are the SIDs whose hives are loaded.
func (Registry) People() ([]string, error) {
	k, err := registry.OpenKey(registry.USERS, "", registry.ENUMERATE_SUB_KEYS)
	if err != nil {
		return nil, keyError("HKEY_USERS", err)
	}
	defer k.Close()
	names, err := k.ReadSubKeyNames(-1)
	return names, err
}
