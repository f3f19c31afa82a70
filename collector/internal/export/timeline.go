package export

import (
	"archive/zip"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// event is one line of timeline.jsonl: the three names that Timesketch wants, and what
// leads back to the evidence.
type event struct {
	Message   string
	Datetime  string
	Desc      string
	Clock     string // whose: collector or endpoint
	Hostname  string
	Endpoint  string
	Evidence  string
	Ledger    *int64
	Actor     string
	PID       int
	Exe       string
	User      string
	RemoteIP  string
	RemotePrt uint16
}

// appendJSON appends e as one line of JSON; members without a value are left out.
func (e *event) appendJSON(b []byte) []byte {
	text := func(name, v string, always bool) {
		if v != "" || always {
			b = appendString(append(append(append(b, '"'), name...), '"', ':'), v)
			b = append(b, ',')
		}
	}
	number := func(name string, v int64) {
		b = strconv.AppendInt(append(append(append(b, '"'), name...), '"', ':'), v, 10)
		b = append(b, ',')
	}
	b = append(b, '{')
	text("message", e.Message, true)
	text("datetime", e.Datetime, true)
	text("timestamp_desc", e.Desc, true)
	text("clock", e.Clock, true)
	text("hostname", e.Hostname, false)
	text("endpoint_id", e.Endpoint, false)
	text("evidence", e.Evidence, false)
	if e.Ledger != nil {
		number("ledger_index", *e.Ledger)
	}
	text("actor", e.Actor, false)
	if e.PID != 0 {
		number("pid", int64(e.PID))
	}
	text("exe", e.Exe, false)
	text("user", e.User, false)
	text("remote_ip", e.RemoteIP, false)
	if e.RemotePrt != 0 {
		number("remote_port", int64(e.RemotePrt))
	}
	b[len(b)-1] = '}'
	return append(b, '\n')
}

// appendString appends s as a JSON text in UTF-8.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ' || r == 0x7f || r == 0x2028 || r == 0x2029:
			b = fmt.Appendf(b, "\\u%04x", r)
		case r < utf8.RuneSelf:
			b = append(b, s[i])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}

// writeLine writes v as one line of JSON.
func writeLine(w io.Writer, v any) error {
	b, err := compact(v)
	if err == nil {
		_, err = w.Write(append(b, '\n'))
	}
	return err
}

// maxTimeline bounds timeline.jsonl, in bytes: a deflated file may have 1 GiB
// (package-format.md).
const maxTimeline = 512 << 20

// share is the room that some lines have. What doesn't fit is counted.
type share struct {
	w    io.Writer
	left int64
	more int64
	room []byte
}

func (s *share) line(e *event) error {
	s.room = e.appendJSON(s.room[:0])
	if int64(len(s.room)) > s.left {
		s.left, s.more = 0, s.more+1 // nothing after it either, so that there is no gap
		return nil
	}
	s.left -= int64(len(s.room))
	_, err := s.w.Write(s.room)
	return err
}

// end tells in a last line what was left out and returns the room that is still there.
func (s *share) end(e event, at time.Time) (int64, error) {
	if s.more == 0 {
		return s.left, nil
	}
	e.Message = "left out here for want of room: " + strconv.FormatInt(s.more, 10) + " lines; the evidence has them"
	e.Datetime, e.Desc, e.Clock = stamp(at), "lines left out", "collector"
	_, err := s.w.Write(e.appendJSON(nil))
	return s.left, err
}

// timeline writes data/timeline.jsonl: the course of the incident, then what the evidence
// of each host says, acquisition by acquisition. Hosts share the room alike, so that none
// takes that of another.
func (x *writer) timeline() error {
	_, err := x.bag.data("timeline.jsonl", zip.Deflate, func(w io.Writer) error {
		course := &share{w: w, left: x.mostTimeline / 2}
		for i := range x.p.Timeline {
			l := &x.p.Timeline[i]
			if err := course.line(&event{Message: message(l), Datetime: stamp(l.At), Desc: "incident: " + l.Kind, Clock: "collector", Actor: l.Actor, Ledger: &l.LedgerIdx}); err != nil {
				return err
			}
		}
		room, err := course.end(event{}, x.p.At)
		if err != nil {
			return err
		}
		room += x.mostTimeline / 2
		for i := range x.doc.Hosts {
			h := &x.doc.Hosts[i]
			known := map[string]bool{}
			s := &share{w: w, left: room / int64(len(x.doc.Hosts)-i)}
			room -= s.left
			for _, a := range h.Acquisitions {
				if err := x.happened(s, h, a.acq, known); err != nil {
					return err
				}
			}
			left, err := s.end(event{Hostname: h.Hostname, Endpoint: h.EndpointID}, x.p.At)
			if err != nil {
				return err
			}
			room += left
		}
		return nil
	})
	return err
}

func message(l *Line) string {
	words := []string{l.Kind}
	if l.Text != "" {
		words = append(words, l.Text)
	}
	for _, k := range []string{"command", "status", "endpoint", "outcome", "first", "last", "number", "recipient", "detail"} {
		if v := l.Params[k]; v != "" {
			words = append(words, k+"="+v)
		}
	}
	return strings.Join(words, " ")
}

// happened writes what one acquisition says of times. known holds the processes of the
// host that have their line already.
func (x *writer) happened(s *share, h *docHost, a *Acquisition, known map[string]bool) error {
	base := event{Clock: "endpoint", Hostname: h.Hostname, Endpoint: h.EndpointID}
	for _, m := range []struct {
		at   time.Time
		desc string
	}{{a.StartedAt, "acquisition started"}, {a.FinishedAt, "acquisition finished"}} {
		e := base
		e.Message, e.Datetime, e.Desc = fmt.Sprintf("%s %s %s %s", a.ID, a.Profile, a.Trigger, a.Outcome), stamp(m.at), m.desc
		if err := s.line(&e); err != nil {
			return err
		}
	}
	for i := range a.Items {
		it := &a.Items[i]
		var tell func(e *event, members []member) bool
		switch artifact.Kind(it.Kind) {
		case artifact.KindProcess:
			tell = func(e *event, members []member) bool { return processEvent(e, members, known) }
		case artifact.KindFlight:
			tell = flightEvent
		case artifact.KindSession:
			tell = sessionEvent
		default:
			continue
		}
		if it.PlainSize > maxDecoded || a.DisposedBy != nil {
			continue
		}
		if err := x.each(it, func(members []member) error {
			e := base
			e.Evidence = it.Number
			if !tell(&e, members) {
				return nil
			}
			return s.line(&e)
		}); err != nil {
			return err
		}
	}
	return nil
}

func processEvent(e *event, members []member, known map[string]bool) bool {
	var p record.Process
	if !into(members, func(name []byte) any {
		switch string(name) {
		case "pid":
			return &p.PID
		case "ppid":
			return &p.PPID
		case "start_ticks":
			return &p.StartTicks
		case "boot_id":
			return &p.BootID
		case "comm":
			return &p.Comm
		case "exe":
			return &p.Exe
		case "args":
			return &p.Args
		case "user":
			return &p.User
		case "started_at_derived":
			return &p.StartedAt
		case "kernel_thread":
			return &p.KernelOnly
		}
		return nil
	}) || p.StartedAt.IsZero() || p.KernelOnly {
		return false
	}
	key := fmt.Sprintf("%s %d %d", p.BootID, p.PID, p.StartTicks)
	if known[key] {
		return false
	}
	known[key] = true
	e.Message, e.Datetime, e.Desc = fmt.Sprintf("process %d (parent %d) %s: %s", p.PID, p.PPID, p.Comm, strings.Join(p.Args, " ")), stamp(p.StartedAt), "process started (derived from its start ticks)"
	e.PID, e.Exe, e.User = p.PID, p.Exe, p.User
	return true
}

func flightEvent(e *event, members []member) bool {
	var f struct {
		event, comm, exe, proto, remote string
		at                              time.Time
		pid                             int
		args                            []string
		port                            uint16
	}
	if !into(members, func(name []byte) any {
		switch string(name) {
		case "event":
			return &f.event
		case "at":
			return &f.at
		case "pid":
			return &f.pid
		case "comm":
			return &f.comm
		case "exe":
			return &f.exe
		case "args":
			return &f.args
		case "proto":
			return &f.proto
		case "remote_addr":
			return &f.remote
		case "remote_port":
			return &f.port
		}
		return nil
	}) || f.at.IsZero() {
		return false
	}
	switch f.event {
	case "process_listed", "connection_listed", "snapshot", "heartbeat":
		return false // states, not events
	}
	words := []string{f.event}
	if f.pid != 0 {
		words = append(words, fmt.Sprintf("pid %d", f.pid))
	}
	words = append(words, f.comm, strings.Join(f.args, " "))
	if f.remote != "" {
		words = append(words, fmt.Sprintf("%s to %s port %d", f.proto, f.remote, f.port))
	}
	e.Message, e.Datetime, e.Desc = strings.Join(strings.Fields(strings.Join(words, " ")), " "), stamp(f.at), "flight record: "+f.event
	e.PID, e.Exe, e.RemoteIP, e.RemotePrt = f.pid, f.exe, f.remote, f.port
	return true
}

func sessionEvent(e *event, members []member) bool {
	var s record.Session
	if !into(members, func(name []byte) any {
		switch string(name) {
		case "kind":
			return &s.Kind
		case "user":
			return &s.User
		case "tty":
			return &s.TTY
		case "remote_host":
			return &s.RemoteHost
		case "remote_addr":
			return &s.RemoteAddr
		case "since":
			return &s.Since
		case "source":
			return &s.Source
		}
		return nil
	}) || s.Since.IsZero() {
		return false
	}
	e.Message, e.Datetime, e.Desc = strings.Join(strings.Fields("session "+s.Kind+" "+s.User+" "+s.TTY+" "+s.RemoteHost), " "), stamp(s.Since), "session since ("+s.Source+")"
	e.User, e.RemoteIP = s.User, s.RemoteAddr
	return true
}
