package main

import (
	"fmt"
	"path/filepath"

	"hozen/internal/durable"
	"hozen/internal/winapi/folder"
)

// guardState makes the folder of state, and all that is in it, the system's and the
// administrators' alone. The usual one lies in a folder with the configuration, which
// everybody may read. It is done before anything is read there: everybody may make a folder
// below %ProgramData% before this agent comes. What others put there is moved away, and its
// new paths are returned. An agent without administrator rights has a folder of its own
// account, which stays as it is.
func guardState(state string) (aside []string, err error) {
	if !folder.Administrator() {
		return nil, nil
	}
	take := func(paths []string, e error) bool {
		aside, err = append(aside, paths...), e
		return e == nil
	}
	if state == defaultState() {
		if !take(folder.Take(filepath.Dir(state), folder.Readable)) || !take(folder.TakeFile(defaultConfig())) {
			return aside, fmt.Errorf("guard state: %w", err)
		}
	} else if err := durable.MkdirAll(filepath.Dir(state), 0o700); err != nil {
		return nil, fmt.Errorf("guard state: %w", err)
	}
	if !take(folder.Take(state, folder.Closed)) {
		return aside, fmt.Errorf("guard state: %w", err)
	}
	return aside, nil
}
