// Package wine runs Windows programs on this machine: Wine in a Debian tree of its own,
// on a disk that is fresh each time. It knows programs as files and command lines only.
package wine

import (
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrUnavailable says that this machine cannot have Wine; the text around it says why, in
// one line.
var ErrUnavailable = errors.New("no Wine here")

// Config says what a Session sees of this machine.
type Config struct {
	// Folders are seen by Windows programs at the same path as here, on drive Z.
	Folders []string
	// Libraries are files of this machine that stand in for libraries of Windows of the same
	// name, such as one of [StandIn]; see [StoodInFor]. Optional.
	Libraries []string
	// Log is a file that gets what Wine's own programs print. Optional.
	Log string
}

// StoodInFor lists the libraries that may be stood in for.
func StoodInFor() []string { return []string{"fwpuclnt"} }

// prefix is the folder of the tree in which Wine keeps its drive C and registry.
const prefix = "/wine"

// plain is the environment of Wine's own programs. Its diagnostics are off; its questions
// about .NET and a browser engine are answered with no.
func plain() []string {
	return []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "WINEPREFIX=" + prefix, "WINEDEBUG=-all", "WINEDLLOVERRIDES=mscoree,mshtml=", "XDG_RUNTIME_DIR=/tmp"}
}

// Environ is what every program of a session has in its environment.
func Environ() []string {
	stood := "WINEDLLOVERRIDES=mscoree,mshtml="
	for _, name := range StoodInFor() {
		stood += ";" + name + "=n,b"
	}
	return append(slices.DeleteFunc(plain(), func(kv string) bool { return strings.HasPrefix(kv, "WINEDLLOVERRIDES=") }), stood)
}

// Entry returns the program of this machine, with its arguments, that runs a program of
// Wine's tree (such as "wine", followed by a Windows program) in the session whose PID 1
// is pid, in the folder dir. Its environment must hold [Environ]. With TMPDIR in it, whatever
// it says, Wine 10 of Debian 13 ends every program at its start ("free(): invalid pointer").
func Entry(pid int, dir string, args ...string) []string {
	return append([]string{"/usr/bin/nsenter", "--target=" + strconv.Itoa(pid), "--mount", "--pid", "--root", "--wdns=/", "--",
		"/bin/sh", "-c", `unset TMPDIR; cd "$1" && shift && exec "$@"`, "sh", dir}, args...)
}

// DriveC returns where a path of drive C, such as "Program Files/Hozen", lies below the
// session's root.
func DriveC(path string) string { return filepath.Join(prefix, "drive_c", filepath.FromSlash(path)) }
