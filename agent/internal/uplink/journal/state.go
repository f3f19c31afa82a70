package journal

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strconv"

	"hozen/internal/id"
)

// line is one object of the file; exactly one field is set.
type line struct {
	Counter      uint64        `json:"counter,omitempty"` // highest that was ever accepted
	Command      *Command      `json:"command,omitempty"`
	Started      string        `json:"started,omitempty"`
	Result       *Result       `json:"result,omitempty"`
	Confirmed    string        `json:"confirmed,omitempty"`
	Alert        *Alert        `json:"alert,omitempty"`
	AlertReceipt *AlertReceipt `json:"alert_receipt,omitempty"`
}

// checksum is CRC-32C, which finds every burst of damage of up to 32 bits.
func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// encode returns the line as it stands in the file: "xxxxxxxx {…}\n".
func (l line) encode() ([]byte, error) {
	b, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("encode journal: %w", err)
	}
	return fmt.Appendf(nil, "%08x %s\n", checksum(b), b), nil
}

var errDamaged = errors.New("damaged line")

// decodeLine is the inverse of encode, without the newline.
func decodeLine(b []byte) (line, error) {
	if len(b) < 9 || b[8] != ' ' {
		return line{}, errDamaged
	}
	sum, err := strconv.ParseUint(string(b[:8]), 16, 32)
	if err != nil || uint32(sum) != checksum(b[9:]) {
		return line{}, errDamaged
	}
	d := json.NewDecoder(bytes.NewReader(b[9:]))
	var l line
	if err := d.Decode(&l); err != nil {
		return line{}, errDamaged
	}
	if _, err := d.Token(); err != io.EOF {
		return line{}, errDamaged
	}
	return l, l.check()
}

// check refuses what this program cannot have written.
func (l line) check() error {
	switch {
	case l.Command != nil:
		return errors.Join(id.Check(id.Command, l.Command.ID), id.Check(id.Acquisition, l.Command.AcquisitionID))
	case l.Result != nil:
		return id.Check(id.Command, l.Result.CommandID)
	case l.Alert != nil:
		return id.Check(id.Alert, l.Alert.ID)
	}
	return nil
}

// state is what the lines add up to.
type state struct {
	counter  uint64
	commands map[string]*Entry
	alerts   map[string]*alertEntry
}

type alertEntry struct {
	alert   Alert
	receipt *AlertReceipt
}

func newState() state {
	return state{commands: map[string]*Entry{}, alerts: map[string]*alertEntry{}}
}

// replay applies a whole file and returns how many of its lines are damaged. The end
// of the file after the last newline is not one of them.
func (s *state) replay(b []byte) (damaged int) {
	for len(b) > 0 {
		raw, rest, whole := bytes.Cut(b, []byte{'\n'})
		b = rest
		if !whole {
			break
		}
		l, err := decodeLine(raw)
		if err != nil {
			damaged++
			continue
		}
		s.apply(l)
	}
	return damaged
}

// apply takes one line in. Lines about things that are not known are passed over.
func (s *state) apply(l line) {
	s.counter = max(s.counter, l.Counter)
	switch {
	case l.Command != nil:
		if s.commands[l.Command.ID] == nil {
			s.commands[l.Command.ID] = &Entry{Command: *l.Command}
		}
		s.counter = max(s.counter, l.Command.Counter)
	case l.Started != "":
		if e := s.commands[l.Started]; e != nil {
			e.Started = true
		}
	case l.Result != nil:
		if e := s.commands[l.Result.CommandID]; e != nil && e.Result == nil {
			e.Result = l.Result
		}
	case l.Confirmed != "":
		if e := s.commands[l.Confirmed]; e != nil && e.Result != nil {
			e.Confirmed = true
		}
	case l.Alert != nil:
		if s.alerts[l.Alert.ID] == nil {
			s.alerts[l.Alert.ID] = &alertEntry{alert: *l.Alert}
		}
	case l.AlertReceipt != nil:
		if a := s.alerts[l.AlertReceipt.AlertID]; a != nil {
			a.receipt = l.AlertReceipt
		}
	}
}

// list returns the matching commands in the order of their counters.
func (s *state) list(match func(*Entry) bool) []Entry {
	var out []Entry
	for _, e := range s.commands {
		if match(e) {
			out = append(out, *e)
		}
	}
	slices.SortFunc(out, func(a, b Entry) int { return cmp.Compare(a.Command.Counter, b.Command.Counter) })
	return out
}

func (s *state) unfinished() (n int) {
	for _, e := range s.commands {
		if e.Result == nil {
			n++
		}
	}
	return n
}

func (s *state) openAlerts() (n int) {
	for _, a := range s.alerts {
		if a.receipt == nil {
			n++
		}
	}
	return n
}

// listAlerts returns the alerts without receipt; their identifiers sort by time.
func (s *state) listAlerts() []Alert {
	var out []Alert
	for _, a := range s.alerts {
		if a.receipt == nil {
			out = append(out, a.alert)
		}
	}
	slices.SortFunc(out, func(a, b Alert) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// forget drops all but the newest of what is settled.
func (s *state) forget() {
	done := s.list(func(e *Entry) bool { return e.Confirmed })
	for _, e := range done[:max(0, len(done)-keepFinished)] {
		delete(s.commands, e.Command.ID)
	}
	var settled []string
	for alertID, a := range s.alerts {
		if a.receipt != nil {
			settled = append(settled, alertID)
		}
	}
	slices.Sort(settled)
	for _, alertID := range settled[:max(0, len(settled)-keepAlerts)] {
		delete(s.alerts, alertID)
	}
}

// encode returns a file that replays to the same state.
func (s *state) encode() ([]byte, error) {
	lines := []line{{Counter: s.counter}}
	for _, e := range s.list(func(*Entry) bool { return true }) {
		lines = append(lines, line{Command: &e.Command})
		if e.Started {
			lines = append(lines, line{Started: e.Command.ID})
		}
		if e.Result != nil {
			lines = append(lines, line{Result: e.Result})
		}
		if e.Confirmed {
			lines = append(lines, line{Confirmed: e.Command.ID})
		}
	}
	for _, alertID := range slices.Sorted(maps.Keys(s.alerts)) {
		a := s.alerts[alertID]
		lines = append(lines, line{Alert: &a.alert})
		if a.receipt != nil {
			lines = append(lines, line{AlertReceipt: a.receipt})
		}
	}
	var out []byte
	for _, l := range lines {
		b, err := l.encode()
		if err != nil {
			return nil, err
		}
		out = append(out, b...)
	}
	return out, nil
}

// size estimates the bytes that encode would return.
func (s *state) size() int64 { return int64(len(s.commands)+len(s.alerts))*512 + 64 }
