package export

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// event is one line of timeline.jsonl: the three names that Timesketch wants, and what
// leads back to the evidence.
type event struct {
	Message   string `json:"message"`
	Datetime  string `json:"datetime"`
	Desc      string `json:"timestamp_desc"`
	Clock     string `json:"clock"` // whose: collector or endpoint
	Hostname  string `json:"hostname,omitempty"`
	Endpoint  string `json:"endpoint_id,omitempty"`
	Evidence  string `json:"evidence,omitempty"`
	Ledger    *int64 `json:"ledger_index,omitempty"`
	Actor     string `json:"actor,omitempty"`
	PID       int    `json:"pid,omitempty"`
	Exe       string `json:"exe,omitempty"`
	User      string `json:"user,omitempty"`
	RemoteIP  string `json:"remote_ip,omitempty"`
	RemotePrt uint16 `json:"remote_port,omitempty"`
}

// writeLine writes v as one line of JSON.
func writeLine(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
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
}

func (s *share) line(v any) error {
	var b bytes.Buffer
	if err := writeLine(&b, v); err != nil {
		return err
	}
	if int64(b.Len()) > s.left {
		s.left, s.more = 0, s.more+1 // nothing after it either, so that there is no gap
		return nil
	}
	s.left -= int64(b.Len())
	_, err := s.w.Write(b.Bytes())
	return err
}

// end tells in a last line what was left out and returns the room that is still there.
func (s *share) end(e event, at time.Time) (int64, error) {
	if s.more == 0 {
		return s.left, nil
	}
	e.Message = "left out here for want of room: " + strconv.FormatInt(s.more, 10) + " lines; the evidence has them"
	e.Datetime, e.Desc, e.Clock = stamp(at), "lines left out", "collector"
	return s.left, writeLine(s.w, e)
}

// timeline writes data/timeline.jsonl: the course of the incident, then what the evidence
// of each host says, acquisition by acquisition. Hosts share the room alike, so that none
// takes that of another.
func (x *writer) timeline() error {
	_, err := x.bag.data("timeline.jsonl", zip.Deflate, func(w io.Writer) error {
		course := &share{w: w, left: x.mostTimeline / 2}
		for i := range x.p.Timeline {
			l := &x.p.Timeline[i]
			if err := course.line(event{Message: message(l), Datetime: stamp(l.At), Desc: "incident: " + l.Kind, Clock: "collector", Actor: l.Actor, Ledger: &l.LedgerIdx}); err != nil {
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
		if err := s.line(e); err != nil {
			return err
		}
	}
	for i := range a.Items {
		it := &a.Items[i]
		var tell func(e *event, line []byte) bool
		switch artifact.Kind(it.Kind) {
		case artifact.KindProcess:
			tell = func(e *event, line []byte) bool { return processEvent(e, line, known) }
		case artifact.KindFlight:
			tell = flightEvent
		case artifact.KindSession:
			tell = sessionEvent
		default:
			continue
		}
		if it.PlainSize > maxDecoded || x.unreadable[a.ID+"/"+it.Name] {
			continue
		}
		if err := x.each(it, func(line []byte) error {
			e := base
			e.Evidence = it.Number
			if !tell(&e, line) {
				return nil
			}
			return s.line(e)
		}); err != nil {
			return err
		}
	}
	return nil
}

func processEvent(e *event, line []byte, known map[string]bool) bool {
	var p struct {
		PID        int       `json:"pid"`
		PPID       int       `json:"ppid"`
		StartTicks uint64    `json:"start_ticks"`
		BootID     string    `json:"boot_id"`
		Comm       string    `json:"comm"`
		Exe        string    `json:"exe"`
		Args       []string  `json:"args"`
		User       string    `json:"user"`
		StartedAt  time.Time `json:"started_at_derived"`
		KernelOnly bool      `json:"kernel_thread"`
	}
	if json.Unmarshal(line, &p) != nil || p.StartedAt.IsZero() || p.KernelOnly {
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

func flightEvent(e *event, line []byte) bool {
	var f struct {
		Event      string    `json:"event"`
		At         time.Time `json:"at"`
		PID        int       `json:"pid"`
		Comm       string    `json:"comm"`
		Exe        string    `json:"exe"`
		Args       []string  `json:"args"`
		Proto      string    `json:"proto"`
		RemoteAddr string    `json:"remote_addr"`
		RemotePort uint16    `json:"remote_port"`
	}
	if json.Unmarshal(line, &f) != nil || f.At.IsZero() {
		return false
	}
	switch f.Event {
	case "process_listed", "connection_listed", "snapshot", "heartbeat":
		return false // states, not events
	}
	words := []string{f.Event}
	if f.PID != 0 {
		words = append(words, fmt.Sprintf("pid %d", f.PID))
	}
	words = append(words, f.Comm, strings.Join(f.Args, " "))
	if f.RemoteAddr != "" {
		words = append(words, fmt.Sprintf("%s to %s port %d", f.Proto, f.RemoteAddr, f.RemotePort))
	}
	e.Message, e.Datetime, e.Desc = strings.Join(strings.Fields(strings.Join(words, " ")), " "), stamp(f.At), "flight record: "+f.Event
	e.PID, e.Exe, e.RemoteIP, e.RemotePrt = f.PID, f.Exe, f.RemoteAddr, f.RemotePort
	return true
}

func sessionEvent(e *event, line []byte) bool {
	var s record.Session
	if json.Unmarshal(line, &s) != nil || s.Since.IsZero() {
		return false
	}
	e.Message, e.Datetime, e.Desc = strings.Join(strings.Fields("session "+s.Kind+" "+s.User+" "+s.TTY+" "+s.RemoteHost), " "), stamp(s.Since), "session since ("+s.Source+")"
	e.User, e.RemoteIP = s.User, s.RemoteAddr
	return true
}
