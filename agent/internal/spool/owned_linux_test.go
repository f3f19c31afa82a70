package spool_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hozen/agent/internal/spool"
	"hozen/internal/id"
)

// What is not signed and somebody else made, or could change, is not given to who would sign
// it: it is named and stays. What is signed proves itself, whoever it belongs to.
func TestUnsignedOfOthersStaysUnsigned(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	const part = "artifacts/process.jsonl.zst"
	for _, c := range []struct {
		name   string
		change func(acq string) error
		want   string
	}{
		{"ours", func(string) error { return nil }, ""},
		{"folder", func(acq string) error { return os.Chown(acq, 65534, 65534) }, "is not signed, and .: belongs to uid 65534"},
		{"folder that anybody may write", func(acq string) error { return os.Chmod(acq, 0o777) }, "is not signed, and .: mode 0777"},
		{"head", func(acq string) error { return os.Chown(acq+"/acquisition.json", 65534, 65534) }, "acquisition.json: belongs to"},
		{"folder of parts", func(acq string) error { return os.Chmod(acq+"/artifacts", 0o770) }, "artifacts: mode 0770"},
		{"part", func(acq string) error { return os.Lchown(acq+"/"+part, 65534, 65534) }, part + ": belongs to"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, spool.Config{Dir: dir})
			signed, begun := sealed(t, s, 10), id.New(id.Acquisition)
			a, err := s.Begin(begun, []byte("plan"))
			must(t, err)
			p, err := a.Create(part)
			must(t, err)
			_, err = p.Write([]byte("x"))
			must(t, err)
			must(t, p.Close())
			must(t, s.Close())
			must(t, c.change(filepath.Join(dir, signed)))
			must(t, c.change(filepath.Join(dir, begun)))

			s = open(t, spool.Config{Dir: dir})
			problems, want := s.Status().Problems, "sealed"
			switch {
			case c.want == "":
				want = "sealed interrupted"
				if len(problems) != 0 {
					t.Error(problems)
				}
			case len(problems) != 1 || !strings.Contains(problems[0], begun) || !strings.Contains(problems[0], c.want):
				t.Errorf("problems %q, want one with %q", problems, c.want)
			}
			if got := states(s); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			if _, err := os.Stat(filepath.Join(dir, begun, part)); err != nil {
				t.Error(err)
			}
		})
	}
}
