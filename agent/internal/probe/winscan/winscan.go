// Package winscan makes records of what Windows tells of its processes and sockets. It knows
// nothing of system calls: it is given their answers, and is tested with recorded ones.
package winscan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/winbytes"
	"hozen/internal/artifact/record"
)

// ErrGone says that a process ended before it could be asked.
var ErrGone = errors.New("the process has ended")

// System is what Windows is asked for; winsys.System is one.
type System interface {
	// Processes is the answer of NtQuerySystemInformation(SystemProcessInformation).
	Processes() (winbytes.Answer, error)
	// Process tells of the process that was created at that moment (FILETIME); the error
	// wraps ErrGone when there is none any more, fs.ErrPermission when it may not be asked.
	Process(pid int, created int64) (Told, error)
	// Sockets is the answer of GetExtendedTcpTable or GetExtendedUdpTable.
	Sockets(t winbytes.Table) ([]byte, error)
}

// Told is what one process was asked for. Each part has its own error, because each needs
// rights of its own.
type Told struct {
	// CommandLine is UTF-16, and From who told it.
	CommandLine []byte
	From        string
	LineErr     error
	// Image is the path of its file, UTF-16.
	Image    []uint16
	ImageErr error
	Token    Token
	TokenErr error

	Wow64      bool
	Protection uint32
}

// Token is in whose name a process acts, and how far.
type Token struct {
	UserSID      string
	Integrity    uint32 // the last part of the SID of its label
	Labelled     bool   // Integrity is known
	Elevation    uint32 // TOKEN_ELEVATION_TYPE
	Elevated     bool
	AppContainer bool
	LogonID      uint64
}

// Scan is one reading of the PC.
type Scan struct {
	sys  System
	rows []winbytes.Process
	all  []*record.Process
	byID map[int]*record.Process
	next int // of all: the first that was not asked yet

	denied, broken int64
	first          error
}

// New returns a scan that has read nothing yet.
func New(sys System) *Scan { return &Scan{sys: sys} }

// idlePID and systemPID are the kernel itself.
const (
	idlePID   = 0
	systemPID = 4
)

// Processes returns every process of one moment, by PID. When ctx ends while they are asked
// one by one, those of the rest have what the table told; the next call goes on there.
func (s *Scan) Processes(ctx context.Context) ([]*record.Process, error) {
	if err := s.table(); err != nil {
		return nil, err
	}
	for ; s.next < len(s.all) && ctx.Err() == nil; s.next++ {
		s.ask(s.all[s.next], &s.rows[s.next])
	}
	return s.all, s.lack(ctx)
}

// table reads the process table, once: nothing of it may change between two looks.
func (s *Scan) table() error {
	if s.all != nil {
		return nil
	}
	a, err := s.sys.Processes()
	if err != nil {
		return fmt.Errorf("read process table: %w", err)
	}
	rows, err := winbytes.Processes(a)
	if err != nil { // what there is counts more than what is missing
		s.broken++
		s.first = err
	}
	slices.SortStableFunc(rows, func(a, b winbytes.Process) int { return a.PID - b.PID })
	s.rows, s.byID = rows, make(map[int]*record.Process, len(rows))
	created := make(map[int]int64, len(rows))
	for i := range rows {
		p := basic(&rows[i])
		s.all, s.byID[p.PID], created[p.PID] = append(s.all, p), p, rows[i].Created
	}
	for i, p := range s.all {
		parent, there := created[p.PPID]
		p.Windows.PPIDReused = there && rows[i].Created > 0 && parent > rows[i].Created
	}
	return nil
}

// basic makes a record of a row of the table.
func basic(r *winbytes.Process) *record.Process {
	p := &record.Process{
		PID: r.PID, PPID: r.PPID, StartTicks: winbytes.Ticks(r.Created), StartedAt: winbytes.Time(r.Created),
		Comm: r.Name, CommRaw: r.NameRaw, Threads: int(r.Threads), RSSBytes: int64(r.WorkingSet),
		CPUTicks: uint64(max(r.UserTime+r.KernelTime, 0)) / 1e5, KernelOnly: r.PID == idlePID || r.PID == systemPID,
		UID: record.Unknown, EUID: record.Unknown, GID: record.Unknown, EGID: record.Unknown,
		Windows: record.WinProcess{SessionID: r.Session, Handles: r.Handles, PrivateBytes: r.PrivateBytes},
	}
	if p.Comm == "" && p.PID == idlePID {
		p.Comm = "Idle"
	}
	return p
}

// ask fills in what the process itself is asked for.
func (s *Scan) ask(p *record.Process, r *winbytes.Process) {
	if p.KernelOnly {
		return
	}
	t, err := s.sys.Process(p.PID, r.Created)
	if errors.Is(err, ErrGone) { // it is told all the same: that it ran is evidence
		p.Unread = []string{"cmdline", "exe", "token"}
		return
	}
	if err != nil {
		t.LineErr, t.ImageErr, t.TokenErr = err, err, err
	}
	unread := func(what string, err error) bool {
		if err != nil {
			p.Unread = append(p.Unread, what)
		}
		return err != nil
	}
	w := &p.Windows
	if !unread("cmdline", t.LineErr) {
		w.CommandLine, p.CmdlineRaw = winbytes.Text(t.CommandLine)
		w.CommandLineFrom, p.Args = t.From, winbytes.Args(w.CommandLine)
	}
	if !unread("exe", t.ImageErr) {
		p.Exe, p.ExeRaw = winbytes.Text16(t.Image)
	}
	if !unread("token", t.TokenErr) {
		k := t.Token
		w.UserSID, w.Elevated, w.AppContainer = k.UserSID, k.Elevated, k.AppContainer
		if w.Elevation = elevation(k.Elevation); k.Labelled {
			w.Integrity = integrity(k.Integrity)
		}
		if k.LogonID != 0 {
			w.LogonID = fmt.Sprintf("%x", k.LogonID)
		}
	}
	w.Wow64, w.Protection = t.Wow64, t.Protection
	if err := errors.Join(t.LineErr, t.ImageErr, t.TokenErr); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			s.denied++
		} else {
			s.broken++
		}
		if s.first == nil {
			s.first = fmt.Errorf("process %d: %w", p.PID, err)
		}
	}
}

// lack is what the processes could not tell.
func (s *Scan) lack(ctx context.Context) error {
	unreached := int64(len(s.all) - s.next)
	if s.denied+s.broken+unreached == 0 {
		return ctx.Err()
	}
	why := s.first
	if unreached > 0 {
		why = errors.Join(ctx.Err(), why)
	}
	return &probe.Missing{Skipped: s.denied + s.broken + unreached, Err: fmt.Errorf(
		"read processes: %d refused, %d not whole, %d not reached: %w", s.denied, s.broken, unreached, why)}
}

// elevation is TOKEN_ELEVATION_TYPE.
func elevation(n uint32) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "default"
	case 2:
		return "full"
	case 3:
		return "limited"
	}
	return fmt.Sprint(n)
}

// integrity is the mandatory level (winnt.h, SECURITY_MANDATORY_…_RID).
func integrity(rid uint32) string {
	switch rid {
	case 0:
		return "untrusted"
	case 0x1000:
		return "low"
	case 0x2000:
		return "medium"
	case 0x3000:
		return "high"
	case 0x4000:
		return "system"
	case 0x5000:
		return "protected"
	}
	return fmt.Sprint(rid)
}
