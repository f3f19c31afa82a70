// Package bootverdict judges how the boot before this one ended: orderly, forced, by a
// crash, by loss of power, or abruptly in a way that nothing tells. It knows nothing of
// acquisitions, of the spool or of who reads the verdict.
//
// Sources are read one by one into findings; [Decide] turns findings into a verdict and
// is pure. No verdict rests on one witness: sources that one program writes count once.
// Where witnesses contradict each other the verdict is unknown and all are listed.
package bootverdict

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// Recorder is what the flight recorder holds of an earlier boot.
type Recorder struct {
	// LastAt is the moment of the newest entry, by the clocks of that boot.
	LastAt artifact.Instant
	// BootID is the boot that the entry belongs to.
	BootID string
	// ShutdownMark says that the system announced a shutdown to the agent and nothing took
	// it back. The agent's being stopped or killed is no announcement.
	ShutdownMark bool
}

// Shutdown is what the agent noted durably while an earlier boot went down. A shutdown
// that was called off is to be left out.
type Shutdown struct {
	// BootID is the boot that went down.
	BootID string
	// Source is how the agent learned of it, such as logind or the companion unit.
	Source string
	// Type is poweroff, reboot, halt, kexec or soft-reboot; empty when it was not said.
	Type string
	// By is the code of what asked, such as preserve, and Who says in words who did; empty
	// when it is not known.
	By, Who string
	// NoticedAt is the first notice, SealedAt the sealing of the acquisition, ReleasedAt
	// the moment from which the system was free to go on. Zero: it did not come to it.
	NoticedAt, SealedAt, ReleasedAt artifact.Instant
	// AddedDelay is how long the agent held the shutdown up.
	AddedDelay time.Duration
	// AcquisitionID is the sealed acquisition; empty when there is none.
	AcquisitionID string
}

// Config says what to judge from. Reading changes nothing on the endpoint.
type Config struct {
	// Root is the folder below which the system's files are. Optional: "/".
	Root string
	// Memory is what [Load] returned before this boot was remembered.
	Memory Memory
	// Recorder is the newest entry of an earlier boot. Optional: nil when the recorder
	// was off or holds none.
	Recorder *Recorder
	// Shutdown is the newest note of an earlier boot, or of this one after a soft-reboot.
	// Optional: nil when there is none.
	Shutdown *Shutdown
}

// Input is everything that a verdict is made of.
type Input struct {
	BootID   string    // of this boot; empty when the system does not say
	Began    time.Time // when this boot began, by the wall clock as it is now; zero when not known
	Memory   Memory
	Recorder *Recorder
	Shutdown *Shutdown
	Findings []Finding // of the system's sources, in any order
}

// Finding is what one source of the system says of the boot before this one.
type Finding struct {
	record.BootBasis
	BootID   string           // the boot that it speaks of; empty when it does not say
	Began    time.Time        // when that boot began; zero when it does not say
	LastSeen time.Time        // newest trace of that boot in the source; zero when it has none
	Asked    record.BootAsked // who or what asked for the end, if it says so
	Dumps    []record.BootDump
}

// The values of BootBasis.Source, Witness, Read and Leans.
const (
	sourceBootID   = "boot_id"
	sourceRecorder = "recorder"
	sourceShutdown = "shutdown_record"
	sourceWtmp     = "wtmp"
	sourceJournal  = "journal"
	sourceKernel   = "kernel_log"
	sourceFsck     = "fsck"
	sourcePstore   = "pstore"
	sourceKdump    = "kdump"
	sourceReset    = "reset_reason"
	sourceWatchdog = "watchdog"
	// Of Windows.
	sourceShutdownTime = "shutdown_time"
	sourceCrashDump    = "crash_dump"
	sourceEventLog     = "event_log"
	sourceKernelPower  = "kernel_power"

	witnessAgent    = "agent"       // what the agent itself wrote
	witnessWtmp     = "wtmp"        // systemd-update-utmp
	witnessJournal  = "journal"     // systemd-journald
	witnessFS       = "file_system" // whether the root was left unmounted in order
	witnessKernel   = "kernel"      // what the dying kernel saved
	witnessPlatform = "platform"    // firmware and hardware
	witnessWindows  = "windows"     // what the kernel of Windows writes as it ends, and at the next start of that
	witnessEventLog = "event_log"   // the service of Windows' event log

	readOK     = "ok"
	readAbsent = "absent"
	readDenied = "denied"
	readUnread = "unread"

	leansOrderly = "orderly"
	leansForced  = "forced"
	leansCrash   = "crash"
	leansPower   = "power_loss"
	leansAbrupt  = "abrupt"
	// leansWeak is a silence that fits an abrupt end and would also fit an agent that
	// had died before. It supports another witness and stands against none.
	leansWeak = "abrupt_weak"
)

// Judge reads the sources and decides. The record is valid beside an error, which says
// which sources were refused or unreadable; it wraps fs.ErrPermission or ctx.Err() where
// that is the reason. Without any source (neither Linux nor Windows) it is errors.ErrUnsupported.
func Judge(ctx context.Context, c Config) (*record.Boot, error) {
	if c.Root == "" {
		c.Root = "/"
	}
	in, err := read(ctx, c)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, err
	}
	in.Memory, in.Recorder, in.Shutdown = c.Memory, c.Recorder, c.Shutdown
	return Decide(in), err
}

// failed is the finding of a source that could not be read.
func failed(source, witness string, err error) Finding {
	read := readUnread
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errors.ErrUnsupported):
		read = readAbsent
	case errors.Is(err, fs.ErrPermission):
		read = readDenied
	}
	return Finding{BootBasis: record.BootBasis{Source: source, Witness: witness, Read: read}}
}

func found(source, witness string) Finding {
	return Finding{BootBasis: record.BootBasis{Source: source, Witness: witness, Read: readOK}}
}

// shorten keeps what a log says within a line of the record.
func shorten(s string) string {
	const most = 160
	text, _ := record.TextOf(s)
	for i := range text {
		if i > most {
			return text[:i] + "…"
		}
	}
	return text
}
