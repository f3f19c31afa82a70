package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"hozen/internal/durable"
)

// guardState refuses a folder of state, or of evidence in it, that others may write or that
// is another account's: what lies there could be anybody's, and the agent would sign it. The
// mode is not mended: somebody has to look at what is there first.
func guardState(state string) ([]string, error) {
	for _, dir := range []string{state, filepath.Join(state, "spool"), aloneFolder(state)} {
		fi, err := os.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = durable.Ours(fi)
		}
		if err != nil {
			return nil, fmt.Errorf("guard state: folder %q: %w; look at what lies in it, then give it to root with mode 0700", dir, err)
		}
	}
	return nil, nil
}
