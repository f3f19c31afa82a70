package bootverdict

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"hozen/internal/artifact/record"
)

// fields are those of one entry.
type fields map[string]string

type testEntry struct {
	boot string
	s    int
	f    fields
}

func entryOf(boot string, s int, f fields) testEntry { return testEntry{boot, s, f} }

// buildJournal writes a journal file as journald lays it out: data objects, entries, and
// entry arrays of 4, 8, 16, … items.
func buildJournal(compact bool, state byte, entries []testEntry) []byte {
	le := binary.LittleEndian
	b := make([]byte, 264)
	copy(b, "LPKSHHRH")
	flags := uint32(4) // keyed hash
	if compact {
		flags |= journalCompact
	}
	le.PutUint32(b[12:], flags)
	b[16] = state
	le.PutUint64(b[88:], 264)
	object := func(kind byte, body []byte) uint64 {
		for len(b)%8 != 0 {
			b = append(b, 0)
		}
		at := uint64(len(b))
		head := make([]byte, objectHeader)
		head[0] = kind
		le.PutUint64(head[8:], uint64(objectHeader+len(body)))
		b = append(append(b, head...), body...)
		return at
	}
	number := func(items []byte, v uint64) []byte {
		if compact {
			return le.AppendUint32(items, uint32(v))
		}
		return le.AppendUint64(items, v)
	}
	data := map[string]uint64{}
	var offsets []uint64
	for i, e := range entries {
		body := make([]byte, 48)
		le.PutUint64(body, uint64(i+1))
		le.PutUint64(body[8:], uint64(at(e.s).UnixMicro()))
		id, err := hex.DecodeString(strings.ReplaceAll(e.boot, "-", ""))
		if err != nil {
			panic(err)
		}
		copy(body[24:], id)
		for _, name := range slices.Sorted(maps.Keys(e.f)) {
			text := name + "=" + e.f[name]
			if data[text] == 0 {
				head := 48
				if compact {
					head += 8
				}
				data[text] = object(objectData, append(make([]byte, head), text...))
			}
			body = number(body, data[text])
			if !compact {
				body = le.AppendUint64(body, 0)
			}
		}
		offsets = append(offsets, object(objectEntry, body))
	}
	le.PutUint64(b[152:], uint64(len(entries)))
	le.PutUint64(b[160:], uint64(len(entries)))
	link := 176
	for size := 4; len(offsets) > 0; size *= 2 {
		body := make([]byte, 8)
		for i := range size {
			v := uint64(0)
			if i < len(offsets) {
				v = offsets[i]
			}
			body = number(body, v)
		}
		array := object(objectArray, body)
		le.PutUint64(b[link:], array)
		link = int(array) + objectHeader
		offsets = offsets[min(size, len(offsets)):]
	}
	return b
}

func systemd(text, id, unit string) fields {
	f := fields{"_PID": "1", "_TRANSPORT": "journal", "_SYSTEMD_UNIT": "init.scope", "MESSAGE": text}
	if id != "" {
		f["MESSAGE_ID"] = id
	}
	if unit != "" {
		f["UNIT"] = unit
	}
	return f
}

func logindSays(text, id string) fields {
	return fields{"_PID": "30", "_SYSTEMD_UNIT": "systemd-logind.service", "_TRANSPORT": "journal", "MESSAGE": text, "MESSAGE_ID": id}
}

func journaldStopped() fields {
	return fields{"_PID": "17", "_TRANSPORT": "driver", "MESSAGE": "Journal stopped", "MESSAGE_ID": idJournalStopped}
}

// running is a boot in which n things happened, one a second.
func running(n int) (list []testEntry) {
	for i := range n {
		list = append(list, entryOf(oldBoot, i, fields{"_PID": "99", "_TRANSPORT": "stdout", "MESSAGE": fmt.Sprint("work ", i), "_SYSTEMD_UNIT": "work.service"}))
	}
	return list
}

func killedBoot() []testEntry { return running(30) }

func at100(f fields) testEntry { return entryOf(oldBoot, 100, f) }

func orderlyBoot() []testEntry {
	return append(running(30),
		at100(logindSays("Power key pressed short.", idPowerKey)),
		at100(logindSays("System is powering down.", idShutdown)),
		at100(systemd("Stopped target basic.target", idUnitStopped, "basic.target")),
		at100(systemd("Reached target poweroff.target", idUnitStarted, "poweroff.target")),
		at100(systemd("Shutting down.", "", "")),
		at100(journaldStopped()))
}

func TestJournalEnds(t *testing.T) {
	began := append(running(30), at100(logindSays("System is rebooting.", idShutdown)), at100(systemd("", idUnitStopped, "multi-user.target")))
	for name, c := range map[string]struct {
		entries     []testEntry
		state       byte
		says, leans string
		asked       record.BootAsked
	}{
		"orderly":           {orderlyBoot(), 0, "shutdown_completed", leansOrderly, record.BootAsked{By: "power_key", Type: "poweroff", Basis: sourceJournal}},
		"killed":            {killedBoot(), journalOnline, "ends_without_shutdown", leansAbrupt, record.BootAsked{}},
		"idle, then killed": {killedBoot(), 0, "ends_without_shutdown", leansAbrupt, record.BootAsked{}},
		"began":             {began, 0, "shutdown_began", leansOrderly, record.BootAsked{By: "logind", Type: "reboot", Basis: sourceJournal}},
		"unfinished":        {began, journalOnline, "shutdown_unfinished", leansAbrupt, record.BootAsked{By: "logind", Type: "reboot", Basis: sourceJournal}},
		"forced": {append(running(30), at100(systemd("Shutting down.", "", "")), at100(journaldStopped())), 0, "shut_down_without_stopping", leansForced,
			record.BootAsked{By: "system_manager", Basis: sourceJournal}},
		"only the journal stopped": {append(running(30), at100(journaldStopped())), 0, "journal_stopped", "", record.BootAsked{}},
		"too short":                {running(3), journalOnline, "too_short", "", record.BootAsked{}},
		"panic": {append(running(30), at100(fields{"_TRANSPORT": "kernel", "MESSAGE": "Kernel panic - not syncing: Fatal exception"})), journalOnline,
			"kernel_panic", leansCrash, record.BootAsked{}},
		"Ctrl-Alt-Del": {append(running(30), at100(systemd("Received SIGINT.", "", "")), at100(systemd("", idUnitStopped, "basic.target")),
			at100(systemd("", idUnitStarted, "reboot.target")), at100(systemd("Shutting down.", "", ""))), 0, "shutdown_completed", leansOrderly,
			record.BootAsked{By: "ctrl_alt_del", Type: "reboot", Who: "Received SIGINT.", Basis: sourceJournal}},
		"asked for by a client": {append(running(30), at100(logindSays("Reboot requested from client PID 812 ('systemctl') (unit session-1.scope)...", "x")),
			at100(logindSays("System is rebooting.", idShutdown)), at100(systemd("", idUnitStarted, "reboot.target")), at100(journaldStopped())), 0,
			"shutdown_completed", leansOrderly, record.BootAsked{By: "logind", Type: "reboot",
				Who: "Reboot requested from client PID 812 ('systemctl') (unit session-1.scope)...", Basis: sourceJournal}},
		// What any program can write must not pass for the system's word.
		"pretended": {append(running(30), at100(fields{"_PID": "812", "_TRANSPORT": "syslog", "SYSLOG_IDENTIFIER": "systemd", "MESSAGE": "Shutting down."}),
			at100(fields{"_PID": "812", "_TRANSPORT": "journal", "MESSAGE_ID": idUnitStarted, "UNIT": "poweroff.target"}),
			at100(fields{"_PID": "812", "_TRANSPORT": "journal", "MESSAGE_ID": idJournalStopped})), journalOnline, "ends_without_shutdown", leansAbrupt, record.BootAsked{}},
		// A shutdown that was announced and did not come.
		"long ago": {append([]testEntry{entryOf(oldBoot, -9000, logindSays("System is rebooting.", idShutdown))}, running(30)...), journalOnline,
			"ends_without_shutdown", leansAbrupt, record.BootAsked{}},
	} {
		for _, compact := range []bool{false, true} {
			f, ok := openTest(buildJournal(compact, c.state, c.entries))
			if !ok {
				t.Fatal("no journal")
			}
			now, ok := openTest(buildJournal(compact, journalOnline, []testEntry{entryOf(newBoot, 500, nil)}))
			if !ok {
				t.Fatal("no journal")
			}
			tail, current, err := previous(t.Context(), []*journalFile{now, f}, newBoot)
			if err != nil || !current || tail == nil {
				t.Fatalf("%s: %+v, %t, %v", name, tail, current, err)
			}
			got := journalFinding(tail, current)
			if got.Says != c.says || got.Leans != c.leans || got.Asked != c.asked || got.BootID != oldBoot {
				t.Errorf("%s, compact %t: %+v", name, compact, got)
			}
		}
	}
}

// Boots stand one behind the other in one file, and the last one is found at any place.
func TestBootsInOneFile(t *testing.T) {
	for _, old := range []int{1, 2, 21, 40} {
		for _, recent := range []int{0, 1, 3, 4, 5, 29, 300} {
			list := running(old)
			for i := range recent {
				list = append(list, entryOf(newBoot, 200+i, nil))
			}
			f, ok := openTest(buildJournal(true, journalOnline, list))
			if !ok {
				t.Fatal("no journal")
			}
			tail, current, err := previous(t.Context(), []*journalFile{f}, newBoot)
			if err != nil || tail == nil || tail.seen != old || !tail.last.Equal(at(old-1)) || current != (recent > 0) || tail.torn != (recent == 0) {
				t.Errorf("%d and %d: %+v, %t, %v", old, recent, tail, current, err)
			}
			if f := journalFinding(tail, current); recent == 0 && f.Says != "not_kept_now" {
				t.Errorf("%+v", f)
			}
		}
	}
	f, _ := openTest(buildJournal(false, journalOnline, []testEntry{entryOf(newBoot, 1, nil)}))
	if tail, current, err := previous(t.Context(), []*journalFile{f}, newBoot); tail != nil || !current || err != nil || journalFinding(tail, current).Says != "no_earlier_boot" {
		t.Errorf("%+v, %t, %v", tail, current, err)
	}
}

// A chain of arrays that leads back must end.
func TestCircularJournal(t *testing.T) {
	b := buildJournal(false, 0, running(30))
	first := binary.LittleEndian.Uint64(b[176:])
	binary.LittleEndian.PutUint64(b[first+objectHeader:], first)
	if _, ok := openTest(b); ok {
		t.Error("a chain that leads back was followed")
	}
}
