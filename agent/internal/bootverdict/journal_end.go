package bootverdict

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hozen/internal/artifact/record"
)

// The message ids of systemd (sd-messages.h), stable for ever.
const (
	idShutdown       = "98268866d1d54a499c4e98921d93bc40" // logind: the system goes down
	idPowerKey       = "b72ea4a2881545a0b50e200e55b9b06f" // logind: the power key was pressed
	idUnitStarted    = "39f53479d3a045ac8e11786248231fbf"
	idUnitStopped    = "9d1aaa27d60140bd96365438aad20286"
	idJournalStopped = "d93fb3c9c24d451a97cea615ce59c00b"
)

const (
	maxTail = 1500 // entries that are looked at, from the end of the boot back
	// enough is how many entries must have been seen before their silence says something,
	// when the file and not the boot began there.
	enough = 20
	// stale is how long before the last entry the announcement of a shutdown may lie and
	// still be of this end.
	stale = 15 * time.Minute
)

// journalTail is the end of the boot before this one, as its journal has it.
type journalTail struct {
	bootID                      string
	last                        time.Time // the last entry
	seen                        int       // entries looked at
	whole                       bool      // the boot's beginning was reached
	closed                      bool      // journald stopped, and said so
	torn                        bool      // the file was never closed
	shuttingDown                bool      // the system manager said that it goes down
	stopping                    bool      // units were being stopped for it
	reached                     string    // poweroff, reboot, …: the target was reached
	announced                   string    // what logind said
	announcedAt, reachedAt, end time.Time
	panicked                    string
	asked                       record.BootAsked
}

// previous finds the newest entry of another boot than id in all files, and reads the
// end of that boot. current reports whether any file has entries of id: a journal
// without them is no longer kept, or not on disk.
func previous(ctx context.Context, files []*journalFile, id string) (tail *journalTail, current bool, err error) {
	type place struct {
		f *journalFile
		i int64
		e journalEntry
	}
	var best *place
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		if f.entries == 0 {
			continue
		}
		i, e, berr := f.before(id)
		if berr != nil {
			err = berr
			continue
		}
		current = current || i < f.entries-1 && i >= -1 && f.holds(i+1, id)
		if i < 0 {
			continue
		}
		if p := (&place{f, i, e}); best == nil || later(p.f, p.e, best.f, best.e) {
			best = p
		}
	}
	if best == nil {
		return nil, current, err
	}
	tail, terr := readTail(ctx, best.f, best.i)
	if terr != nil {
		return nil, current, terr
	}
	return tail, current, err
}

func (f *journalFile) holds(i int64, id string) bool {
	e, err := f.entry(i)
	return err == nil && e.boot == id
}

// later compares by sequence number where one writer counted, else by the clock.
func later(f *journalFile, e journalEntry, g *journalFile, h journalEntry) bool {
	if f.seqID == g.seqID {
		return e.seq > h.seq
	}
	return e.at.After(h.at)
}

// readTail reads backwards from entry i to the beginning of its boot.
func readTail(ctx context.Context, f *journalFile, i int64) (*journalTail, error) {
	first, err := f.entry(i)
	if err != nil {
		return nil, err
	}
	t := &journalTail{bootID: first.boot, last: first.at}
	// Only the last entry of the file can have been left by a writer who never closed it.
	t.torn = f.state == journalOnline && i >= f.entries-1
	for ; i >= 0 && t.seen < maxTail; i-- {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e, err := f.entry(i)
		if err != nil {
			return nil, fmt.Errorf("read entry %d: %w", i, err)
		}
		if e.boot != t.bootID {
			t.whole = true
			break
		}
		t.seen++
		t.take(e, f.text(e))
	}
	return t, nil
}

// take looks at one entry; later ones were taken before.
func (t *journalTail) take(e journalEntry, v map[string]string) {
	text, id := v["MESSAGE"], v["MESSAGE_ID"]
	manager := v["_PID"] == "1" && v["_TRANSPORT"] != "kernel"
	logind := v["_SYSTEMD_UNIT"] == "systemd-logind.service"
	switch {
	case v["_TRANSPORT"] == "driver" && id == idJournalStopped:
		// A journald that was started anew within the boot stopped too, but not as the last.
		t.closed = t.closed || t.seen == 1
	case v["_TRANSPORT"] == "kernel" && strings.HasPrefix(text, "Kernel panic - not syncing"):
		t.panicked = text
	case t.last.Sub(e.at) > stale:
	case manager && text == "Shutting down.":
		t.shuttingDown, t.end = true, e.at
	case manager && id == idUnitStarted && endTarget(v["UNIT"]) != "":
		if t.reached == "" {
			t.reached, t.reachedAt = endTarget(v["UNIT"]), e.at
		}
		t.ask("", t.reached, "")
	case manager && id == idUnitStopped && (v["UNIT"] == "basic.target" || v["UNIT"] == "multi-user.target" || v["UNIT"] == "sysinit.target"):
		t.stopping = true
	case manager && strings.HasPrefix(text, "Received SIGINT"):
		if t.stopping { // it also serves nobody in particular
			t.ask(signalled(text, "ctrl_alt_del"), "", text)
		}
	case manager && strings.HasPrefix(text, "Received SIGRTMIN+"):
		if t.stopping || t.shuttingDown {
			t.ask("signal", "", text)
		}
	case logind && id == idShutdown:
		if t.announced == "" {
			t.announced, t.announcedAt = text, e.at
		}
		t.ask("logind", announcedType(text), "")
	case logind && strings.Contains(text, "requested from client PID"):
		t.ask("", "", text)
	case logind && id == idPowerKey:
		if t.announced != "" && t.announcedAt.Sub(e.at) < time.Minute {
			t.asked.By = "power_key"
		}
	}
}

// ask keeps the first word of each kind, which is the last that was written.
func (t *journalTail) ask(by, kind, who string) {
	a := &t.asked
	a.Basis = sourceJournal
	if a.By == "" {
		a.By = by
	}
	if a.Type == "" {
		a.Type = kind
	}
	if a.Who == "" {
		a.Who = shorten(who)
	}
}

// signalled tells the kernel's SIGINT from a program's: only the latter has a sender.
func signalled(text, fromKernel string) string {
	if strings.Contains(text, " from PID ") {
		return "signal"
	}
	return fromKernel
}

// endTarget is the kind of end that a unit stands for.
func endTarget(unit string) string {
	name, ok := strings.CutSuffix(unit, ".target")
	if ok && slices.Contains([]string{"poweroff", "reboot", "halt", "kexec", "soft-reboot"}, name) {
		return name
	}
	return ""
}

func announcedType(text string) string {
	for part, kind := range map[string]string{"powering down": "poweroff", "rebooting": "reboot", "halting": "halt", "kexec": "kexec"} {
		if strings.Contains(text, part) {
			return kind
		}
	}
	return ""
}

// finding says what the tail means.
func (t *journalTail) finding() Finding {
	f := found(sourceJournal, witnessJournal)
	f.BootID, f.LastSeen, f.At, f.Asked = t.bootID, t.last, t.last, t.asked
	began := t.stopping || t.announced != ""
	switch {
	case t.panicked != "":
		f.Says, f.Leans, f.Detail = "kernel_panic", leansCrash, shorten(t.panicked)
	case t.reached != "" && (t.shuttingDown || t.closed):
		f.Says, f.Leans, f.At, f.Detail = "shutdown_completed", leansOrderly, t.reachedAt, t.reached+".target"
	case t.shuttingDown && !t.stopping && (t.seen >= enough || t.whole):
		f.Says, f.Leans, f.At, f.Detail = "shut_down_without_stopping", leansForced, t.end, "Shutting down."
		if f.Asked.By == "" {
			f.Asked.By, f.Asked.Basis = "system_manager", sourceJournal
		}
	case began && t.torn:
		f.Says, f.Leans = "shutdown_unfinished", leansAbrupt
	case began:
		// Where /var is unmounted early, the journal ends there.
		f.Says, f.Leans, f.Detail = "shutdown_began", leansOrderly, shorten(t.announced)
	case t.closed || t.shuttingDown:
		f.Says = "journal_stopped"
	case t.whole || t.seen >= enough:
		f.Says, f.Leans = "ends_without_shutdown", leansAbrupt
		if t.torn {
			f.Detail = "file was not closed"
		}
	default:
		f.Says = "too_short"
	}
	return f
}

// journalFinding is what the whole journal says. One that has nothing of this boot is
// not kept any more, and its last boot may be any.
func journalFinding(t *journalTail, current bool) Finding {
	f := found(sourceJournal, witnessJournal)
	switch {
	case t == nil:
		f.Says = "no_earlier_boot"
	case !current:
		f.Says = "not_kept_now"
	default:
		return t.finding()
	}
	return f
}
