package console

import (
	"cmp"
	"strconv"
	"strings"

	"hozen/internal/artifact/record"
)

type processTableView struct {
	Frame   evidenceFrame
	Query   query
	Table   paged[processRow]
	All     int
	Flagged int
}

// processRow is a process as tables show it.
type processRow struct {
	*record.Process
}

// Key names the process within its acquisition: a PID alone is used again.
func (p processRow) Key() string { return processKey(p.PID, p.StartTicks) }

func processKey(pid int, ticks uint64) string {
	return strconv.Itoa(pid) + "-" + strconv.FormatUint(ticks, 10)
}

// Command is the command line as one text, arguments with spaces or nothing in them
// in quotes so that the cuts stay visible.
func (p processRow) Command() string {
	var b strings.Builder
	for i, a := range p.Args {
		if i > 0 {
			b.WriteByte(' ')
		}
		if a == "" || strings.ContainsAny(a, " \t\n\"'") {
			b.WriteString(`"` + strings.ReplaceAll(a, `"`, `\"`) + `"`)
		} else {
			b.WriteString(a)
		}
		if b.Len() > textLimit {
			break
		}
	}
	return b.String()
}

// Account is the user by name, else by number.
func (p processRow) Account() string {
	if p.User != "" {
		return p.User
	}
	if p.UID == record.Unknown {
		return ""
	}
	return strconv.FormatInt(p.UID, 10)
}

// Marks are the keys of what makes a process worth a look: mark.<key>.
func (p processRow) Marks() []string {
	var marks []string
	if p.ExeMemFD {
		marks = append(marks, "memfd")
	}
	if p.ExeDeleted && !p.ExeMemFD {
		marks = append(marks, "deleted")
	}
	if p.TracerPID != 0 {
		marks = append(marks, "traced")
	}
	if p.EUID == 0 && p.UID > 0 {
		marks = append(marks, "setuid")
	}
	return marks
}

func (p processRow) text() string {
	return strings.ToLower(strconv.Itoa(p.PID) + " " + p.Comm + " " + p.Account() + " " + p.Exe + " " + strings.Join(p.Args, " ") + " " + p.ContainerID)
}

func rowsOf(all []record.Process) []processRow {
	rows := make([]processRow, len(all))
	for i := range all {
		rows[i] = processRow{&all[i]}
	}
	return rows
}

func (s *server) processTable(v *visit, f evidenceFrame) error {
	q := readQuery(v.r.URL.Query(), []string{"pid", "ppid", "user", "started", "name", "command", "exe"}, []string{"all", "programs", "flagged"})
	view := processTableView{Frame: f, Query: q, All: len(f.File.Processes)}
	words := q.words()
	var rows []processRow
	for _, p := range rowsOf(f.File.Processes) {
		flagged := len(p.Marks()) > 0
		if flagged {
			view.Flagged++
		}
		if q.Show == "flagged" && !flagged || q.Show == "programs" && p.KernelOnly {
			continue
		}
		if matches(words, p.text) {
			rows = append(rows, p)
		}
	}
	sortBy(rows, q.Desc, func(a, b processRow) int {
		switch q.Sort {
		case "ppid":
			return cmp.Compare(a.PPID, b.PPID)
		case "user":
			return compareText(a.Account(), b.Account())
		case "started":
			return cmp.Compare(a.StartTicks, b.StartTicks)
		case "name":
			return compareText(a.Comm, b.Comm)
		case "command":
			return compareText(a.Command(), b.Command())
		case "exe":
			return compareText(a.Exe, b.Exe)
		}
		return cmp.Compare(a.PID, b.PID)
	})
	view.Table = turn(rows, q.Page)
	return s.showEvidence(v, "process_table", f, view)
}
