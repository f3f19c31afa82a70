package identity

import (
	"io/fs"

	"hozen/internal/winapi/folder"
)

// private refuses a key that another account made, and therefore knows. Who may read it is
// said by its folder.
func private(path string, _ fs.FileInfo) error { return folder.Own(path) }
