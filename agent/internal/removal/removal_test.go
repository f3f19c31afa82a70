package removal_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hozen/agent/internal/removal"
	"hozen/agent/internal/spool"
	"hozen/agent/internal/uplink/journal"
	"hozen/internal/id"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pc is a home folder with an agent's folder of state and one acquisition in each state.
type pc struct {
	removal.Config
	sealed, received, refused, interrupted string
}

func newPC(t *testing.T) pc {
	t.Helper()
	p := pc{Config: removal.Config{Home: t.TempDir(), State: "agent", Also: []string{"agent.toml"}, Kept: "unsent-evidence"}}
	for _, dir := range []string{"agent/identity", "agent.set-aside-x-0/spool", "Collector", "unsent-evidence"} {
		must(t, os.MkdirAll(filepath.Join(p.Home, dir), 0o700))
	}
	for _, file := range []string{"agent/identity/key.pem", "agent.toml", "agent.toml.set-aside-y-0", "Collector/ca.key", "agent-notes.txt"} {
		must(t, os.WriteFile(filepath.Join(p.Home, file), []byte("x"), 0o600))
	}
	s, err := spool.Open(spool.Config{Dir: filepath.Join(p.Home, "agent", "spool"), MinFreeBytes: -1})
	must(t, err)
	for _, name := range []*string{&p.sealed, &p.received, &p.refused, &p.interrupted} {
		*name = id.New(id.Acquisition)
		a, err := s.Begin(*name, nil)
		must(t, err)
		part, err := a.Create("artifacts/process.jsonl.zst")
		must(t, err)
		_, err = part.Write([]byte(*name))
		must(t, errors.Join(err, part.Close()))
		if name != &p.interrupted {
			must(t, a.Seal(spool.Seal{Manifest: []byte("{}"), Signature: []byte("s"), SignerPEM: []byte("k"), CertPEM: []byte("c")}))
		}
	}
	must(t, s.Receipt(p.received, []byte("receipt")))
	must(t, s.Refused(p.refused, "its reason"))
	must(t, s.Close())
	return p
}

func (p pc) names(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(filepath.Join(p.Home, dir))
	must(t, err)
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestClearKeepsWhatTheCollectorDidNotConfirm(t *testing.T) {
	p := newPC(t)
	strange := filepath.Join("agent", "spool", "strange")
	must(t, os.Mkdir(filepath.Join(p.Home, strange), 0o700))
	kept, err := removal.Clear(p.Config)
	must(t, err)
	want := []string{p.sealed, p.refused, p.interrupted, "strange"}
	slices.Sort(want)
	slices.Sort(kept)
	got := slices.DeleteFunc(p.names(t, p.Kept), func(n string) bool { return n == p.refused+".refused.json" })
	if !slices.Equal(kept, want) || !slices.Equal(got, want) || len(p.names(t, p.Kept)) != 5 {
		t.Errorf("%q is kept and %q told, want %q", got, kept, want)
	}
	for _, name := range []string{p.sealed, p.refused} {
		if got, want := p.names(t, filepath.Join(p.Kept, name)), []string{"artifacts", "manifest.json", "manifest.json.sig", "signer-cert.pem", "signer.pem"}; !slices.Equal(got, want) {
			t.Errorf("%s holds %q, evidence is %q", name, got, want)
		}
	}
	b, err := os.ReadFile(filepath.Join(p.Home, p.Kept, p.sealed, "artifacts", "process.jsonl.zst"))
	if err != nil || string(b) != p.sealed {
		t.Errorf("evidence: %q, %v", b, err)
	}
	if got, want := p.names(t, "."), []string{"Collector", "agent-notes.txt", p.Kept}; !slices.Equal(got, want) {
		t.Errorf("%q is left, want %q", got, want)
	}
	// A second agent came and went: what the first left is still there.
	if kept, err = removal.Clear(p.Config); err != nil || len(kept) != 0 || len(p.names(t, p.Kept)) != 5 {
		t.Errorf("again: %q, %v", kept, err)
	}
	p.Everything = true
	if kept, err = removal.Clear(p.Config); err != nil || len(kept) != 0 || len(p.names(t, ".")) != 2 {
		t.Errorf("everything: %q, %v, %q is left", kept, err, p.names(t, "."))
	}
}

// TestClearKeepsReports that were not sent, and no journal that holds nothing of the kind.
func TestClearKeepsReports(t *testing.T) {
	for _, c := range []struct {
		name                           string
		confirmed, unread, all, stands bool
	}{{name: "not sent", stands: true}, {name: "confirmed", confirmed: true}, {name: "not sent, but everything goes", all: true}, {name: "cannot be read", unread: true, stands: true}} {
		t.Run(c.name, func(t *testing.T) {
			cfg := removal.Config{Home: t.TempDir(), State: "agent", Kept: "unsent-evidence", Everything: c.all}
			must(t, os.Mkdir(filepath.Join(cfg.Home, cfg.Kept), 0o700))
			path := filepath.Join(cfg.Home, cfg.State, "journal", "journal")
			if c.unread {
				must(t, os.MkdirAll(filepath.Join(path, "odd"), 0o700))
			} else {
				j, err := journal.Open(journal.Config{Path: path})
				must(t, err)
				a := journal.Alert{ID: id.New(id.Alert), Message: "it began again", Reporter: "x"}
				must(t, j.AddAlert(a))
				if c.confirmed {
					must(t, j.ConfirmAlert(journal.AlertReceipt{AlertID: a.ID}))
				}
				must(t, j.Close())
			}
			kept, err := removal.Clear(cfg)
			must(t, err)
			if len(kept) == 1 != c.stands {
				t.Fatalf("%q is kept", kept)
			}
			if c.stands && !c.unread {
				b, err := os.ReadFile(filepath.Join(cfg.Home, cfg.Kept, kept[0], "journal"))
				if err != nil || !strings.Contains(string(b), "it began again") {
					t.Errorf("%q, %v", b, err)
				}
			}
			if _, err := os.Stat(filepath.Join(cfg.Home, cfg.State)); !errors.Is(err, os.ErrNotExist) {
				t.Error("the state is left")
			}
		})
	}
}

func TestClearOfEverything(t *testing.T) {
	p := newPC(t)
	p.Everything = true
	kept, err := removal.Clear(p.Config)
	if err != nil || len(kept) != 0 {
		t.Fatal(kept, err)
	}
	if got, want := p.names(t, "."), []string{"Collector", "agent-notes.txt"}; !slices.Equal(got, want) {
		t.Errorf("%q is left, want %q", got, want)
	}
}

// TestClearDeletesNothingWhen evidence cannot be put into safety, or an agent runs.
func TestClearDeletesNothingWhen(t *testing.T) {
	t.Run("the place for evidence is taken", func(t *testing.T) {
		p := newPC(t)
		must(t, os.Mkdir(filepath.Join(p.Home, p.Kept, p.refused), 0o700))
		if _, err := removal.Clear(p.Config); err == nil {
			t.Error("evidence was put over something else")
		}
		p.whole(t)
	})
	t.Run("an agent runs", func(t *testing.T) {
		p := newPC(t)
		s, err := spool.Open(spool.Config{Dir: filepath.Join(p.Home, "agent", "spool"), MinFreeBytes: -1})
		must(t, err)
		defer s.Close()
		for _, p.Everything = range []bool{false, true} {
			if _, err := removal.Clear(p.Config); !errors.Is(err, spool.ErrInUse) {
				t.Errorf("everything %t: %v", p.Everything, err)
			}
		}
		p.whole(t)
	})
}

// whole fails the test unless keys and all evidence are there, in one place or in the other.
func (p pc) whole(t *testing.T) {
	t.Helper()
	for _, name := range []string{p.sealed, p.refused, p.interrupted} {
		_, err1 := os.Stat(filepath.Join(p.Home, "agent", "spool", name, "artifacts"))
		_, err2 := os.Stat(filepath.Join(p.Home, p.Kept, name, "artifacts"))
		if (err1 == nil) == (err2 == nil) {
			t.Errorf("%s: %v, %v", name, err1, err2)
		}
	}
	if _, err := os.Stat(filepath.Join(p.Home, "agent", "identity", "key.pem")); err != nil {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	for _, fine := range []string{dir, filepath.Join(dir, "none"), newPC(t).Home + "/agent"} {
		if err := removal.Check(fine); err != nil {
			t.Errorf("%s: %v", fine, err)
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, "spool"), nil, 0o600))
	if err := removal.Check(dir); !errors.Is(err, removal.ErrNotOurs) {
		t.Errorf("a folder of somebody: %v", err)
	}
}

func TestUpgradesTakeNothingAway(t *testing.T) {
	for _, c := range []struct {
		ancestors []string
		want      bool
	}{
		{[]string{"msiexec.exe", "MSIEXEC.EXE", "explorer.exe"}, true},
		{[]string{"msiexec.exe", "services.exe"}, false},
		{[]string{"cmd.exe", "msiexec.exe", "msiexec.exe"}, false},
		{[]string{"msiexec.exe"}, false},
		{nil, false},
	} {
		if got := removal.ForUpgrade(c.ancestors); got != c.want {
			t.Errorf("%q: %t", c.ancestors, got)
		}
	}
}
