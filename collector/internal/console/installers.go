package console

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/act"
)

// installer is a file with which the agent is installed. An administrator puts it into the
// collector's folder; nothing else of that folder is shown.
type installer struct {
	Name   string
	System string // the key of a text: windows, deb, rpm
	Size   int64  // bytes
	ARM    bool   // for ARM processors
}

var installerName = regexp.MustCompile(`^hozen-agent[_-][0-9A-Za-z.+~_-]{1,100}\.(msi|deb|rpm)$`)

// forARM is how Debian and Fedora call that processor.
var forARM = regexp.MustCompile(`[_.](arm64|aarch64)\.`)

// maxInstallers is how many are shown.
const maxInstallers = 24

// installers lists them, the newest first. A folder that is not there has none.
func (s *server) installers() ([]installer, error) {
	if s.packages == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(s.packages)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list installers: %w", err)
	}
	var list []installer
	made := map[string]time.Time{}
	for _, e := range entries {
		m := installerName.FindStringSubmatch(e.Name())
		if m == nil || !e.Type().IsRegular() {
			continue
		}
		fi, err := e.Info()
		if err != nil {
			continue // taken away just now
		}
		made[e.Name()] = fi.ModTime()
		list = append(list, installer{e.Name(), map[string]string{"msi": "windows"}[m[1]], fi.Size(), forARM.MatchString(e.Name())})
		if last := &list[len(list)-1]; last.System == "" {
			last.System = m[1]
		}
	}
	slices.SortStableFunc(list, func(a, b installer) int {
		if c := made[b.Name].Compare(made[a.Name]); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return list[:min(len(list), maxInstallers)], nil
}

// forWindows is the newest installer for Windows, in the reader's language if there is one.
func forWindows(list []installer, language string) string {
	name := ""
	for _, i := range list {
		switch {
		case i.System != "windows":
		case strings.HasSuffix(i.Name, "_"+language+".msi"):
			return i.Name
		case name == "":
			name = i.Name
		}
	}
	return name
}

// first is the newest installer of a kind, for the processors of office PCs if there is one.
func first(list []installer, system string) string {
	name := ""
	for _, i := range list {
		switch {
		case i.System != system:
		case !i.ARM:
			return i.Name
		case name == "":
			name = i.Name
		}
	}
	return name
}

// installerDownload gives an installer to whoever may add endpoints.
func (s *server) installerDownload(v *visit) error {
	if _, err := s.enrolment.Tokens(v.ctx(), v.actor); err != nil {
		return err
	}
	name := v.r.PathValue("name")
	if s.packages == "" || !installerName.MatchString(name) {
		return act.ErrNotFound
	}
	root, err := os.OpenRoot(s.packages)
	if errors.Is(err, fs.ErrNotExist) {
		return act.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("open folder of installers: %w", err)
	}
	defer root.Close()
	fi, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !fi.Mode().IsRegular() {
		return act.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("look at installer: %w", err)
	}
	f, err := root.Open(name)
	if err != nil {
		return fmt.Errorf("open installer: %w", err)
	}
	defer f.Close()
	attachment(v.w.Header(), name, "application/octet-stream")
	v.w.Header().Set("Content-Length", strconv.FormatInt(fi.Size(), 10))
	c := http.NewResponseController(v.w)
	for {
		// Errors here mean that the browser went away; the length tells it that the file is
		// not whole.
		_ = c.SetWriteDeadline(time.Now().Add(downloadStall))
		if _, err := io.CopyN(v.w, f, 1<<20); err == io.EOF {
			return nil
		} else if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}
