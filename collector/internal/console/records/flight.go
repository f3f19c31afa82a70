package records

import (
	"encoding/json"
	"slices"
	"time"

	"hozen/internal/artifact/record"
)

// Flight is what is shown of one event of the flight recorder: of the members of a
// line "hozen.flight/1" those that pages use, because there may be very many of them.
type Flight struct {
	Event      string    `json:"event"`
	Seq        uint64    `json:"seq"`
	Item       int       `json:"item"`
	Source     string    `json:"source"`
	At         time.Time `json:"at"`
	BootNS     int64     `json:"boot_ns"`
	How        string    `json:"how"`
	PID        int       `json:"pid"`
	PPID       int       `json:"ppid"`
	StartTicks uint64    `json:"start_ticks"`
	UID        int64     `json:"uid"`
	EUID       int64     `json:"euid"`
	Comm       string    `json:"comm"`
	Exe        string    `json:"exe"`
	ExeDeleted bool      `json:"exe_deleted"`
	ExeMemFD   bool      `json:"exe_memfd"`
	Args       []string  `json:"args"`
	Unread     []string  `json:"unread"`
	ExitCode   int64     `json:"exit_code"`
	ExitSignal int       `json:"exit_signal"`
	TracerPID  int       `json:"tracer_pid"`
	Family     string    `json:"family"`
	Proto      string    `json:"proto"`
	State      string    `json:"state"`
	LocalAddr  string    `json:"local_addr"`
	LocalPort  uint16    `json:"local_port"`
	RemoteAddr string    `json:"remote_addr"`
	RemotePort uint16    `json:"remote_port"`
	Lost       uint64    `json:"lost"`
	StepNS     int64     `json:"step_ns"`
	Name       string    `json:"name"`
	Detail     string    `json:"detail"`
}

func (f *File) addFlight(line []byte) error {
	e := Flight{UID: record.Unknown, EUID: record.Unknown, ExitCode: -1}
	if err := json.Unmarshal(line, &e); err != nil {
		return err
	}
	e.At = e.At.UTC() // a zone of its own would take more than the row
	own := texts(e.Args) + texts(e.Unread) + text(e.Name) + text(e.Detail)
	for _, s := range []*string{&e.Event, &e.Source, &e.How, &e.Comm, &e.Exe, &e.Family, &e.Proto, &e.State, &e.LocalAddr, &e.RemoteAddr} {
		own += f.words.one(s)
	}
	f.Flights, f.owns, f.own = append(f.Flights, e), append(f.owns, own), f.own+own
	return nil
}

// forget makes room for a further event by leaving out the oldest ones: what happened
// last is what the recorder is asked for. It drops many at once, so that each is moved
// a few times only.
func (f *File) forget(l Limits) {
	n := len(f.Flights)
	if n == 0 || n < l.Lines && !f.full(l) {
		return
	}
	drop := (n + 7) / 8
	for _, own := range f.owns[:drop] {
		f.own -= own
	}
	f.Cut, f.Older = true, f.Older+drop
	f.Flights, f.owns = slices.Delete(f.Flights, 0, drop), slices.Delete(f.owns, 0, drop)
}

// interns keeps one copy of the words that events repeat: names, states, addresses.
type interns struct{ known map[string]string }

// Of the words that are kept once.
const (
	maxIntern  = 4096 // at one time
	internSize = 256  // bytes of one
)

func newInterns() *interns { return &interns{known: map[string]string{}} }

// one puts the known copy in the place of s and returns the bytes that s takes itself:
// none for a word that stood there before.
func (i *interns) one(s *string) int64 {
	if *s == "" {
		return 0
	}
	if i == nil || len(*s) > internSize {
		return text(*s)
	}
	if k, ok := i.known[*s]; ok {
		*s = k
		return 0
	}
	if len(i.known) >= maxIntern {
		clear(i.known) // what is new now comes again sooner
	}
	i.known[*s] = *s
	return text(*s)
}
