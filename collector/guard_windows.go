package main

import (
	"errors"
	"fmt"
	"io/fs"

	"hozen/internal/winapi/folder"
)

// guardFolder makes a folder of the collector, and all that is in it, the system's and the
// administrators' alone: below %ProgramData% the key of the CA could be read by everybody.
// A folder that belongs to another account, or is a link, is refused. A collector without
// administrator rights has folders of its own account, which stay as they are.
func guardFolder(dir string) error {
	if !folder.Administrator() {
		return nil
	}
	return folder.Close(dir)
}

// guardFile does the same for one file; that there is none yet is no error.
func guardFile(path string) error {
	if !folder.Administrator() {
		return nil
	}
	if err := folder.Own(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("close file: %w", err)
	}
	return folder.CloseFile(path)
}
