package console

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/console/records"
	"hozen/internal/artifact/record"
)

type flightTableView struct {
	Frame  evidenceFrame
	Query  query
	Table  paged[flightRow]
	Counts map[string]int
	Shows  []string
	Gaps   int    // events that say that something is not on record
	Lost   uint64 // how much they say is missing, as far as that is known
	First  time.Time
	Last   time.Time
}

// flightRow is an event of the flight recorder as tables show it.
type flightRow struct {
	*records.Flight
}

// Class is the selection that an event belongs to: process, connection, recorder, or
// listed for what was there when the recorder looked and for its signs of life.
func (f flightRow) Class() string {
	switch {
	case f.Event == "snapshot" || f.Event == "heartbeat" || strings.HasSuffix(f.Event, "_listed"):
		return "listed"
	case strings.HasPrefix(f.Event, "process_"):
		return "process"
	case strings.HasPrefix(f.Event, "connection_"):
		return "connection"
	}
	return "recorder"
}

// Gap reports whether the event says that something is not on record.
func (f flightRow) Gap() bool { return f.Event == "gap" }

// Account is the user by number; empty when not known.
func (f flightRow) Account() string {
	if f.UID == record.Unknown {
		return ""
	}
	return strconv.FormatInt(f.UID, 10)
}

// Marks are the keys of what makes an event worth a look: mark.<key>.
func (f flightRow) Marks() []string {
	return processRow{&record.Process{ExeMemFD: f.ExeMemFD, ExeDeleted: f.ExeDeleted, TracerPID: f.TracerPID, UID: f.UID, EUID: f.EUID}}.Marks()
}

// Command is the command line, else the executable.
func (f flightRow) Command() string {
	if len(f.Args) == 0 {
		return f.Exe
	}
	return processRow{&record.Process{Args: f.Args}}.Command()
}

// Ends are the two ends of a connection, "192.0.2.1:50000 → 203.0.113.5:443".
func (f flightRow) Ends() string {
	if f.Family == "" && f.Proto == "" {
		return ""
	}
	s := socketRow{&record.Socket{Family: f.Family, Proto: f.Proto, LocalAddr: f.LocalAddr, LocalPort: f.LocalPort, RemoteAddr: f.RemoteAddr, RemotePort: f.RemotePort}}
	ends := s.Protocol() + " " + s.Local()
	if remote := s.Remote(); remote != "" {
		ends += " → " + remote
	}
	return ends
}

// What is the connection or the program that the event is about, else what it says.
func (f flightRow) What() string { return cmp.Or(f.Ends(), f.Command(), f.Rest()) }

// More is what the event says beside that.
func (f flightRow) More() string {
	if f.Ends() == "" && f.Command() == "" {
		return ""
	}
	return f.Rest()
}

// Rest is what else the event says, as it came.
func (f flightRow) Rest() string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+"="+value)
		}
	}
	add("state", f.State)
	if f.Event == "process_ended" {
		switch {
		case f.ExitSignal != 0:
			add("signal", strconv.Itoa(f.ExitSignal))
		case f.ExitCode >= 0:
			add("exit", strconv.FormatInt(f.ExitCode, 10))
		}
	}
	if f.Lost > 0 {
		add("lost", strconv.FormatUint(f.Lost, 10))
	}
	if f.StepNS != 0 {
		add("step", time.Duration(f.StepNS).String())
	}
	add("unread", strings.Join(f.Unread, ","))
	add("name", f.Name)
	add("detail", f.Detail)
	return strings.Join(parts, " ")
}

// Clock is the moment with milliseconds, because much happens within a second.
func (f flightRow) Clock() string {
	if f.At.IsZero() {
		return ""
	}
	return f.At.In(jst()).Format("15:04:05.000")
}

// Day is the day of the moment.
func (f flightRow) Day() string {
	if f.At.IsZero() {
		return ""
	}
	return f.At.In(jst()).Format("2006-01-02")
}

func (f flightRow) text() string {
	pid := ""
	if f.PID != 0 {
		pid = strconv.Itoa(f.PID)
	}
	return strings.ToLower(f.Clock() + " " + f.Event + " " + f.How + " " + pid + " " + f.Comm + " " + f.Exe + " " + strings.Join(f.Args, " ") + " " + f.Ends() + " " + f.Rest())
}

// flightTable shows what the flight recorder saw, in the order in which it happened.
// At first without what was merely there, which is most of it.
func (s *server) flightTable(v *visit, f evidenceFrame) error {
	shows := []string{"changes", "process", "connection", "recorder", "all"}
	q := readQuery(v.r.URL.Query(), []string{"time", "event", "process", "remote"}, shows)
	view := flightTableView{Frame: f, Query: q, Counts: map[string]int{}, Shows: shows}
	words := q.words()
	var rows []flightRow
	for i := range f.File.Flights {
		row := flightRow{&f.File.Flights[i]}
		if row.Gap() {
			view.Gaps++
			view.Lost += row.Lost
		}
		if !row.At.IsZero() {
			if view.First.IsZero() || row.At.Before(view.First) {
				view.First = row.At
			}
			if row.At.After(view.Last) {
				view.Last = row.At
			}
		}
		if !matches(words, row.text) {
			continue
		}
		kinds := []string{"all", row.Class()}
		if row.Class() != "listed" {
			kinds = append(kinds, "changes")
		}
		for _, k := range kinds {
			view.Counts[k]++
		}
		if slices.Contains(kinds, q.Show) {
			rows = append(rows, row)
		}
	}
	sortBy(rows, q.Desc, func(a, b flightRow) int {
		switch q.Sort {
		case "event":
			return compareText(a.Event, b.Event)
		case "process":
			return cmp.Or(compareText(a.Comm, b.Comm), cmp.Compare(a.PID, b.PID))
		case "remote":
			return cmp.Or(compareAddr(a.RemoteAddr, b.RemoteAddr), cmp.Compare(a.RemotePort, b.RemotePort))
		}
		return cmp.Or(cmp.Compare(a.BootNS, b.BootNS), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Item, b.Item))
	})
	view.Table = turn(rows, q.Page)
	return s.showEvidence(v, "flight_table", f, view)
}
