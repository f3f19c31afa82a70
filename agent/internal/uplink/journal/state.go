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

	"hozen/agent/internal/sorted"
	"hozen/internal/id"
)

// line is one object of the file; exactly one field is set if it is not the first.
type line struct {
	Counter      uint64        `json:"counter,omitempty"` // highest that was ever accepted
	Missing      []uint64      `json:"missing,omitempty"` // below Counter, and may still be accepted; of the same line
	Network      uint64        `json:"network,omitempty"` // highest of an order about the network that was begun; of the same line
	Command      *Command      `json:"command,omitempty"`
	Started      string        `json:"started,omitempty"`
	Result       *Result       `json:"result,omitempty"`
	Confirmed    string        `json:"confirmed,omitempty"`
	Alert        *Alert        `json:"alert,omitempty"`
	AlertReceipt *AlertReceipt `json:"alert_receipt,omitempty"`

	Event         *IsolationEvent `json:"isolation_event,omitempty"`
	EventReceived string          `json:"isolation_event_received,omitempty"`
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
	case l.Event != nil:
		return id.Check(id.IsolationEvent, l.Event.ID)
	}
	return nil
}

// state is what the lines add up to.
type state struct {
	counter  uint64
	missing  map[uint64]bool // counters below that may still be accepted, see losses
	network  uint64          // highest counter of an order about the network that was begun
	commands map[string]*Entry
	alerts   map[string]*alertEntry
	events   []eventEntry // oldest first
	bytes    int64        // of the lines that must be kept
}

type alertEntry struct {
	alert   Alert
	receipt *AlertReceipt
	bytes   int64
}

func newState() state {
	return state{missing: map[uint64]bool{}, commands: map[string]*Entry{}, alerts: map[string]*alertEntry{}}
}

// replay applies a whole file and returns how many of its lines are damaged. The end
// of the file after the last newline is not one of them.
func (s *state) replay(b []byte) (damaged int) {
	var lost losses
	defer func() {
		if damaged > 0 {
			lost.note(s)
		}
	}()
	for first := true; len(b) > 0; first = false {
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
		lost.see(s, l, first)
		s.apply(l, len(raw)+1)
	}
	return damaged
}

// apply takes one line in, which has n bytes in the file. Lines about things that are
// not known are passed over.
func (s *state) apply(l line, n int) {
	size := int64(n)
	s.counter, s.network = max(s.counter, l.Counter), max(s.network, l.Network)
	for _, c := range l.Missing {
		s.missing[c] = true
	}
	switch {
	case l.Command != nil:
		s.counter = max(s.counter, l.Command.Counter)
		delete(s.missing, l.Command.Counter)
		if s.commands[l.Command.ID] == nil {
			s.commands[l.Command.ID] = &Entry{Command: *l.Command, order: size}
			s.grow(l.Command.ID, size)
		}
	case l.Started != "":
		if e := s.commands[l.Started]; e != nil && !e.Started {
			e.Started = true
			s.begun(e.Command)
			s.grow(l.Started, size)
		}
	case l.Result != nil:
		if e := s.commands[l.Result.CommandID]; e != nil && e.Result == nil {
			e.Result = l.Result
			if r := l.Result.Status; r == Done || r == Failed { // also if its begin could not be noted
				s.begun(e.Command)
			}
			s.grow(l.Result.CommandID, size)
		}
	case l.Confirmed != "":
		if e := s.commands[l.Confirmed]; e != nil && e.Result != nil && !e.Confirmed {
			e.Confirmed = true
			s.grow(l.Confirmed, size+e.settle())
		}
	case l.Alert != nil:
		if s.alerts[l.Alert.ID] == nil {
			s.alerts[l.Alert.ID] = &alertEntry{alert: *l.Alert, bytes: size}
			s.bytes += size
		}
	case l.AlertReceipt != nil:
		if a := s.alerts[l.AlertReceipt.AlertID]; a != nil && a.receipt == nil {
			a.receipt = l.AlertReceipt
			a.bytes += size
			s.bytes += size
		}
	case l.Event != nil:
		s.addEvent(*l.Event, size)
	case l.EventReceived != "":
		s.dropEvent(l.EventReceived)
	}
}

// grow counts size more bytes of a command's lines.
func (s *state) grow(commandID string, size int64) {
	s.commands[commandID].bytes += size
	s.bytes += size
}

// settle forgets what only carrying the command out needed, a code's hash among it, and
// returns how many bytes its line grows by that.
func (e *Entry) settle() int64 {
	if e.Command.Isolate == nil {
		return 0
	}
	e.Command.Isolate = nil
	b, err := line{Command: &e.Command}.encode()
	if err != nil {
		return 0 // it was encoded before; this only estimates
	}
	was := e.order
	e.order = int64(len(b))
	return e.order - was
}

// list returns the matching commands in the order of their counters.
func (s *state) list(match func(*Entry) bool) []Entry {
	var out []Entry
	for _, e := range s.commands {
		if match(e) {
			out = append(out, *e)
		}
	}
	sorted.Func(out, func(a, b Entry) int { return cmp.Compare(a.Command.Counter, b.Command.Counter) })
	return out
}

// unfinished counts the commands without result and their bytes.
func (s *state) unfinished() (n int, size int64) {
	for _, e := range s.commands {
		if e.Result == nil {
			n++
			size += e.bytes
		}
	}
	return n, size
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
	sorted.Func(out, func(a, b Alert) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// forget drops all but the newest of what is settled.
func (s *state) forget() {
	done := s.list(func(e *Entry) bool { return e.Confirmed })
	for _, e := range done[:max(0, len(done)-keepFinished)] {
		s.bytes -= e.bytes
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
		s.bytes -= s.alerts[alertID].bytes
		delete(s.alerts, alertID)
	}
}

// encode returns a file that replays to the same state.
func (s *state) encode() ([]byte, error) {
	lines := []line{{Counter: s.counter, Missing: s.listMissing(), Network: s.network}}
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
	for i := range s.events {
		lines = append(lines, line{Event: &s.events[i].event})
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

// size is about how many bytes encode would return.
func (s *state) size() int64 { return s.bytes + 64 }
