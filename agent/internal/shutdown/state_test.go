package shutdown_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hozen/agent/internal/shutdown"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

func full() shutdown.Last {
	at := time.Date(2026, 11, 22, 1, 2, 3, 4, time.UTC)
	in := func(s int) artifact.Instant {
		return artifact.Instant{Wall: at.Add(time.Duration(s) * time.Second), BootNS: int64(s) + 1}
	}
	return shutdown.Last{
		Format: shutdown.Format, BootID: "b",
		Notices: []record.ShutdownNotice{{At: at, BootNS: 1, Event: "down", Source: "logind", Type: "poweroff", ByUID: -1}},
		Down: &shutdown.Episode{NoticedAt: in(0), Source: "logind", Type: "poweroff", AcquisitionID: "acq_0123456789abcdefghjkmnpqr0", IncidentOpen: true,
			SealedAt: in(1), Outcome: artifact.Partial, ReleasedAt: in(2), AddedDelayNS: 7, FirstArtifactNS: 3, EndedAt: in(3)},
		Sleep: &shutdown.Episode{NoticedAt: in(0), Source: "logind", AcquisitionID: "acq_0123456789abcdefghjkmnpqr0", Empty: true, Detail: `"full"`},
	}
}

func TestStateReadsBack(t *testing.T) {
	dir := t.TempDir()
	if _, err := shutdown.ReadLast(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	must(t, shutdown.WriteLast(dir, full()))
	got, err := shutdown.ReadLast(dir)
	must(t, err)
	if diff := cmp.Diff(full(), got); diff != "" {
		t.Error(diff)
	}
}

func TestStateIsReadStrictly(t *testing.T) {
	b, err := json.Marshal(full())
	must(t, err)
	for name, change := range map[string][2]string{
		"other format":    {shutdown.Format, "hozen-power/9"},
		"unknown field":   {`"boot_id"`, `"x":1,"boot_id"`},
		"no acquisition":  {"acq_0123456789abcdefghjkmnpqr0", "x"},
		"unknown outcome": {`"partial"`, `"splendid"`},
		"negative":        {`"added_delay_ns":7`, `"added_delay_ns":-7`},
		"no notice":       {`"noticed_at":{"wall":"2026-11-22T01:02:03.000000004Z"`, `"noticed_at":{"wall":"0001-01-01T00:00:00Z"`},
	} {
		changed := strings.Replace(string(b), change[0], change[1], 1)
		if changed == string(b) {
			t.Fatalf("%s changes nothing", name)
		}
		if _, err := shutdown.ParseLast([]byte(changed)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := shutdown.ParseLast(append(b, '{')); err == nil {
		t.Error("something behind it: accepted")
	}
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "shutdown.json"), append(b, make([]byte, 1<<20)...), 0o600))
	if _, err := shutdown.ReadLast(dir); err == nil {
		t.Error("a megabyte: accepted")
	}
}

// TestWhatAnEarlierAgentLeft: another boot's state is put aside, this boot's is gone on
// with, and a going-down that this agent's start refutes is over.
func TestWhatAnEarlierAgentLeft(t *testing.T) {
	for _, boot := range []string{"boot-1", "boot-2"} {
		synctest.Test(t, func(t *testing.T) {
			s := set(t, nil)
			s.notice(shutdown.Down, shutdown.SourceLogind)
			s.last()
			s.cfg.BootID = boot
			p, err := shutdown.New(s.cfg)
			must(t, err)
			if l := kept(t, s.dir)["boot-1"]; (l.GoingDown() == nil) != (boot == "boot-1") {
				t.Errorf("%s: on disk %+v", boot, l)
			}
			s.plan = p
			s.notice(shutdown.Sleep, shutdown.SourceLogind)
			if l := s.last(); l.BootID != boot || (l.Down == nil) != (boot == "boot-2") || l.Sleep == nil {
				t.Errorf("%s: %+v", boot, l)
			}
		})
	}
}

func kept(t *testing.T, dir string) map[string]shutdown.Last {
	t.Helper()
	all, err := shutdown.Kept(dir)
	must(t, err)
	by := map[string]shutdown.Last{}
	for _, l := range all {
		by[l.BootID] = l
	}
	return by
}

// TestEachBootHasItsNote: a boot that goes down soon leaves what is noted of the ones
// before alone, until that is forgotten; and there is an end to it.
func TestEachBootHasItsNote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t, nil)
		ids := map[string]string{}
		boot := func(id string) {
			s.cfg.BootID = id
			p, err := shutdown.New(s.cfg)
			must(t, err)
			s.plan = p
			ids[id] = s.notice(shutdown.Down, shutdown.SourceLogind).AcquisitionID
			s.last()
			time.Sleep(time.Second) // each plan lives on for 15 minutes, unlike its boot
		}
		for i := range 3 {
			boot(fmt.Sprint("boot-", i))
		}
		all := kept(t, s.dir)
		for id, acquisition := range ids {
			if e := all[id].GoingDown(); e == nil || e.AcquisitionID != acquisition {
				t.Errorf("%s: %+v", id, e)
			}
		}
		must(t, shutdown.Forget(s.dir, "boot-0"))
		must(t, shutdown.Forget(s.dir, "boot-0"))
		must(t, shutdown.Forget(s.dir, "../shutdown"))
		if all := kept(t, s.dir); len(all) != 2 || all["boot-0"].Down != nil {
			t.Errorf("%+v", all)
		}
		for i := range 50 {
			boot(fmt.Sprint("later-", i))
		}
		if all := kept(t, s.dir); len(all) > 33 || all["later-49"].Down == nil || all["later-48"].Down == nil {
			t.Errorf("%d are kept", len(all))
		}
		must(t, os.WriteFile(filepath.Join(s.dir, "shutdown.x.json"), []byte("{"), 0o600))
		if all, err := shutdown.Kept(s.dir); err == nil || len(all) == 0 {
			t.Errorf("one that cannot be read: %v, %d others", err, len(all))
		}
	})
}

func TestUnreadableStateIsNoReasonNotToWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := set(t, func(s *scene) {
			must(t, os.MkdirAll(s.dir, 0o700))
			must(t, os.WriteFile(filepath.Join(s.dir, "shutdown.json"), []byte("{"), 0o600))
		})
		if r := s.notice(shutdown.Down, shutdown.SourceLogind); !r.Sealed || s.last().GoingDown() == nil {
			t.Errorf("%+v", r)
		}
	})
}

func FuzzReadLast(f *testing.F) {
	b, _ := json.Marshal(full())
	f.Add(b)
	f.Add([]byte(`{"format":"hozen-power/1","boot_id":"","notices":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := shutdown.ParseLast(b)
		if err != nil {
			return
		}
		again, err := json.Marshal(l)
		if err != nil {
			t.Fatalf("read but not written: %v", err)
		}
		back, err := shutdown.ParseLast(again)
		if err != nil {
			t.Fatalf("%v: %s", err, again)
		}
		if l.GoingDown() != nil != (back.GoingDown() != nil) {
			t.Fatal("changed its meaning")
		}
		l.By()
	})
}
