package signin_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"hozen/agent/internal/signin"
)

// pc is the root folder of a PC, with the files given.
func pc(t *testing.T, files ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"etc", "run"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(root, f), []byte("x\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// tree lists the files below root with what they hold.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, root+"/")] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestShowAndClear(t *testing.T) {
	for _, c := range []struct{ issue, at string }{{"etc/issue", "etc/issue.d/60-hozen-agent.issue"}, {"", "run/issue.d/60-hozen-agent.issue"}} {
		root := pc(t)
		if c.issue != "" {
			root = pc(t, c.issue)
		}
		b := signin.New(signin.Config{Root: root})
		if was, err := b.Clear(); was != "" || err != nil {
			t.Errorf("nothing was shown: %q, %v", was, err)
		}
		if changed, err := b.Show("隔離中です\x1b[31m\ncall \\4"); !changed || err != nil {
			t.Fatalf("%v, %v", changed, err)
		}
		got := tree(t, root)
		if got["run/motd.d/60-hozen-agent"] != "隔離中です [31m\ncall \\4\n" || got[c.at] != "\n隔離中です [31m\ncall \\\\4\n\n" {
			t.Errorf("%q", got)
		}
		for _, path := range []string{"run/motd.d", "run/motd.d/60-hozen-agent", c.at} {
			if fi, err := os.Stat(filepath.Join(root, path)); err != nil || fi.Mode().Perm()&0o444 != 0o444 {
				t.Errorf("%s: not for everybody: %v, %v", path, fi.Mode(), err)
			}
		}
		if text, since := b.Shown(); text != "隔離中です [31m\ncall \\4" || since.IsZero() {
			t.Errorf("shown: %q since %v", text, since)
		}
		// Another program, such as the agent after a crash, finds it and puts back what is missing.
		b = signin.New(signin.Config{Root: root})
		if err := os.Remove(filepath.Join(root, c.at)); err != nil {
			t.Fatal(err)
		}
		if changed, err := b.Show("隔離中です\x1b[31m\ncall \\4"); changed || err != nil {
			t.Errorf("the same again: %v, %v", changed, err)
		}
		if _, ok := tree(t, root)[c.at]; !ok {
			t.Errorf("%s is not put back", c.at)
		}
		if changed, err := b.Show("訓練"); !changed || err != nil {
			t.Errorf("another text: %v, %v", changed, err)
		}
		if was, err := b.Clear(); was != "訓練" || err != nil {
			t.Errorf("%q, %v", was, err)
		}
		if text, _ := b.Shown(); text != "" {
			t.Errorf("still shown: %q", text)
		}
		for path := range tree(t, root) {
			if path != c.issue {
				t.Errorf("%s is left", path)
			}
		}
		if _, err := os.Stat(filepath.Join(root, "etc/issue.d")); err == nil {
			t.Error("the folder is left")
		}
	}
}

// TestFolderOfOthers stays, also when it is empty or used by them in between.
func TestFolderOfOthers(t *testing.T) {
	root := pc(t, "etc/issue")
	if err := os.Mkdir(filepath.Join(root, "etc/issue.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	b := signin.New(signin.Config{Root: root})
	for range 2 {
		if _, err := b.Show("x"); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Clear(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "etc/issue.d")); err != nil {
		t.Error(err)
	}
	root = pc(t, "etc/issue")
	b = signin.New(signin.Config{Root: root})
	_, err := b.Show("x")
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "etc/issue.d/other.issue"), nil, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Clear(); err != nil {
		t.Error(err)
	}
	if got := tree(t, root); len(got) != 2 {
		t.Errorf("%q", got)
	}
}

// TestCannotBeWritten: the other place is used all the same, and it is said.
func TestCannotBeWritten(t *testing.T) {
	root := pc(t, "etc/issue", "etc/issue.d")
	changed, err := signin.New(signin.Config{Root: root}).Show("x")
	if !changed || err == nil || tree(t, root)["run/motd.d/60-hozen-agent"] != "x\n" {
		t.Errorf("%v, %v, %q", changed, err, tree(t, root))
	}
}

func TestNowhere(t *testing.T) {
	b := signin.New(signin.Config{})
	if _, err := b.Show("x"); err != nil {
		t.Error(err)
	}
	if was, err := b.Clear(); was != "" || err != nil {
		t.Errorf("%q, %v", was, err)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\r\nb\x1b]0;x\a\u202eevil\\4")
	f.Add(strings.Repeat("あ\n", 5000))
	f.Add("\xff\xfe")
	f.Fuzz(func(t *testing.T, s string) {
		got := signin.Clean(s)
		if len(got) > signin.MaxText || !utf8.ValidString(got) || !strings.HasSuffix(got, "\n") || strings.Count(got, "\n") > 60 {
			t.Errorf("%d bytes, %d lines", len(got), strings.Count(got, "\n"))
		}
		for _, r := range got {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("%U", r)
			}
		}
		if again := signin.Clean(got); again != got {
			t.Errorf("%q, then %q", got, again)
		}
	})
}

// TestOneFile: where the system shows nothing, the text is kept in one file for the next run.
func TestOneFile(t *testing.T) {
	c := signin.Config{Root: t.TempDir(), File: filepath.Join(t.TempDir(), "notice.txt")}
	b := signin.New(c)
	if text, _ := b.Shown(); text != "" {
		t.Errorf("shown before: %q", text)
	}
	for i, want := range []bool{true, false} {
		if changed, err := b.Show("隔離中です\x1b\n"); changed != want || err != nil {
			t.Errorf("time %d: %v, %v", i, changed, err)
		}
	}
	old := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := os.Chtimes(c.File, old, old); err != nil {
		t.Fatal(err)
	}
	b = signin.New(c)
	if changed, err := b.Show("隔離中です\x1b\n"); changed || err != nil {
		t.Errorf("in the next run: %v, %v", changed, err)
	}
	if text, at := b.Shown(); text != "隔離中です" || !at.Equal(old) {
		t.Errorf("%q since %v", text, at)
	}
	if err := b.Said(); err != nil {
		t.Error(err)
	}
	if _, at := b.Shown(); !at.After(old) {
		t.Errorf("said at %v", at)
	}
	if was, err := b.Clear(); was != "隔離中です" || err != nil {
		t.Errorf("%q, %v", was, err)
	}
	if list := tree(t, filepath.Dir(c.File)); len(list) != 0 || len(tree(t, c.Root)) != 0 {
		t.Errorf("left: %q", list)
	}
	if was, err := b.Clear(); was != "" || err != nil {
		t.Errorf("again: %q, %v", was, err)
	}
}
