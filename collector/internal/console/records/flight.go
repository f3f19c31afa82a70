package records

import (
	"encoding/json"
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
	f.Flights = append(f.Flights, e)
	return nil
}
