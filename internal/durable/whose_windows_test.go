package durable

import (
	"testing"

	"golang.org/x/sys/windows"
)

// TestWhoseItIs: what Windows answers to the name that is to be replaced. Wine never answers as a
// file system does that keeps a removed name until the last handle is closed.
func TestWhoseItIs(t *testing.T) {
	for name, c := range map[string]struct {
		attr        uint32
		err         error
		held, known bool
	}{
		"removed and still open":     {windows.INVALID_FILE_ATTRIBUTES, windows.ERROR_DELETE_PENDING, true, true},
		"the same, by most calls":    {windows.INVALID_FILE_ATTRIBUTES, windows.ERROR_ACCESS_DENIED, true, true},
		"gone meanwhile":             {windows.INVALID_FILE_ATTRIBUTES, windows.ERROR_FILE_NOT_FOUND, true, true},
		"a folder":                   {windows.FILE_ATTRIBUTE_DIRECTORY, nil, false, true},
		"not to be written":          {windows.FILE_ATTRIBUTE_READONLY | windows.FILE_ATTRIBUTE_ARCHIVE, nil, false, true},
		"on a disk that went":        {windows.INVALID_FILE_ATTRIBUTES, windows.ERROR_NOT_READY, false, true},
		"a file, which tells no one": {windows.FILE_ATTRIBUTE_ARCHIVE, nil, false, false},
	} {
		if held, known := byAttributes(c.attr, c.err); held != c.held || known != c.known {
			t.Errorf("%s: held %t, known %t", name, held, known)
		}
	}
}
