package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"hozen/internal/artifact"
	"hozen/internal/profile"
)

// coverageDoc says how each kind ends; coverageUpdate writes what this machine gives.
const (
	coverageDoc    = "../docs/design/volatile-coverage.md"
	coverageUpdate = "HOZEN_UPDATE_COVERAGE"
	nobody         = 65534
)

// coverageLine is one row of its table.
type coverageLine struct {
	cells []string // kind, what, root, elsewhere, without rights, elsewhere
}

func (l coverageLine) allows(column int, o artifact.Outcome) bool {
	list := strings.Split(l.cells[column]+", "+l.cells[column+1], ", ")
	return slices.Contains(list, string(o)) || o == artifact.TimedOut || o == artifact.NotStarted
}

// coverageTable reads the rows of the outcomes, by kind. The lines of the whole document
// come with them, so that it can be written again.
func coverageTable(t *testing.T) (lines []string, rows map[artifact.Kind]coverageLine) {
	t.Helper()
	b, err := os.ReadFile(coverageDoc)
	must(t, err)
	_, table, ok := strings.Cut(string(b), "<!-- outcomes")
	table, _, ok2 := strings.Cut(table, "\n## ")
	if !ok || !ok2 {
		t.Fatal("there is no table of outcomes")
	}
	rows = map[artifact.Kind]coverageLine{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if kind, is := strings.CutPrefix(strings.TrimSpace(cells[0]), "`"); is && len(cells) == 6 {
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows[artifact.Kind(strings.TrimSuffix(kind, "`"))] = coverageLine{cells}
		}
	}
	return strings.Split(string(b), "\n"), rows
}

// TestCoverage acquires as root and as a user without rights, and compares how each kind
// ends with what people are told.
func TestCoverage(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to become a user without rights")
	}
	lines, rows := coverageTable(t)
	known := map[artifact.Kind]bool{}
	for _, name := range []string{profile.Flash, profile.Volatile} {
		p, err := profile.Find(name)
		must(t, err)
		for _, l := range p.Lines {
			known[l.Kind] = true
			if _, ok := rows[l.Kind]; !ok {
				t.Errorf("%s: the document does not tell of %s", name, l.Kind)
			}
		}
	}
	for kind := range rows {
		if !known[kind] {
			t.Errorf("no profile takes %s", kind)
		}
	}
	update := os.Getenv(coverageUpdate) != ""
	for _, name := range []string{profile.Flash, profile.Volatile} {
		for column, uid := range map[int]uint32{2: 0, 4: nobody} {
			for _, p := range acquireAs(t, name, uid).Probes {
				row, ok := rows[p.Kind]
				if !ok {
					continue
				}
				if update {
					row.cells[column] = string(p.Outcome)
				} else if !row.allows(column, p.Outcome) {
					t.Errorf("%s as user %d: %s is %s (%s), told is %s; elsewhere %s", name, uid, p.Kind, p.Outcome, p.Detail, row.cells[column], row.cells[column+1])
				}
			}
		}
	}
	if !update {
		return
	}
	for i, line := range lines {
		for kind, row := range rows {
			if strings.HasPrefix(line, "| `"+string(kind)+"` | ") && strings.Count(line, " | ") == 5 {
				lines[i] = "| " + strings.Join(row.cells, " | ") + " |"
			}
		}
	}
	must(t, os.WriteFile(coverageDoc, []byte(strings.Join(lines, "\n")), 0o644))
}

// acquireAs takes a profile as a user, with the program that is shipped.
func acquireAs(t *testing.T, name string, uid uint32) artifact.Manifest {
	t.Helper()
	dir, err := os.MkdirTemp("", "coverage") // t.TempDir lets nobody else in
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chown(dir, int(uid), int(uid)))
	must(t, os.Chmod(dir, 0o755))
	agent := filepath.Join(dir, "hozen-agent")
	b, err := os.ReadFile(programs(t).Agent)
	must(t, err)
	must(t, os.WriteFile(agent, b, 0o755))
	cmd := exec.CommandContext(within(t, patience), agent, "acquire", "--profile", name, "--out", filepath.Join(dir, "evidence"), "--json")
	cmd.Dir, cmd.Env = dir, []string{"LC_ALL=C.UTF-8", "HOME=" + dir, "PATH=/usr/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	var errOut strings.Builder
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if code := cmd.ProcessState.ExitCode(); code != acquireComplete && code != acquirePartial {
		t.Fatalf("%s as user %d: %v: %s", name, uid, err, errOut.String())
	}
	var a acquired
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatal(err)
	}
	return a.Manifest
}
