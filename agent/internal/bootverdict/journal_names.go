package bootverdict

import (
	"cmp"
	"io/fs"
	"strings"
	"time"

	"hozen/agent/internal/sorted"
)

// maxJournals is how many files of the journal are looked into, the newest first.
const maxJournals = 24

// newestJournals names the system's journal files among list that were written last.
// Users have journals of their own, which are not looked into.
func newestJournals(list []fs.DirEntry) []string {
	type file struct {
		name string
		at   time.Time
	}
	var all []file
	for _, e := range list {
		name := e.Name()
		if !e.Type().IsRegular() || !strings.HasPrefix(name, "system") ||
			!strings.HasSuffix(name, ".journal") && !strings.HasSuffix(name, ".journal~") {
			continue
		}
		if st, err := e.Info(); err == nil {
			all = append(all, file{name, st.ModTime()})
		}
	}
	sorted.Func(all, func(a, b file) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.name, b.name)) })
	var names []string
	for _, f := range all[:min(len(all), maxJournals)] {
		names = append(names, f.name)
	}
	return names
}
