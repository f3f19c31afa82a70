//go:build !linux

package osservice

import (
	"context"
	"errors"
)

// install installs and then sets what kardianos/service cannot. What the system does not
// take is told and keeps nothing else from working.
func install(_ context.Context, c Config) (changes []Change, err error) {
	if err := installElsewhere(c); err != nil {
		return nil, err
	}
	for _, t := range Mend() {
		if t.Level != OK {
			changes = append(changes, Change{NotSet, t.ID + ": " + t.Detail})
		}
	}
	return changes, nil
}

func uninstall(_ context.Context, _ Config) ([]Change, error) {
	if err := uninstallElsewhere(); err != nil {
		return nil, err
	}
	return []Change{{Removed, Name}}, nil
}

// GoingDown reports nothing where there is no systemd.
func GoingDown(context.Context) (bool, error) { return false, errors.ErrUnsupported }
