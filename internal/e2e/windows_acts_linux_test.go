package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/profile"
)

// tool builds a program of testdata for Windows, where Windows programs see it.
func (p *windowsPC) tool(name, source string) (exe string) {
	p.t.Helper()
	exe = filepath.Join(p.wine.Dir(), name)
	cmd := exec.CommandContext(p.ctx, "go", "build", "-o", exe, "testdata/"+source+"/main.go")
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("build %s: %v\n%s", source, err, out)
	}
	return exe
}

// dumpsScene fails the test unless an order that names the scene's process brings its memory, in
// which is what nothing else holds.
func (p *windowsPC) dumpsScene(of record.Process) {
	t := p.t
	t.Helper()
	cmd := p.order(t, p.ctx, "acquire", map[string]any{"profile": profile.ProcessName(uint32(of.PID), of.StartTicks)})
	if cmd.Status != "done" || cmd.AcquisitionID == "" {
		t.Fatalf("acquire ended as %s: %s", cmd.Status, cmd.Detail)
	}
	dir := p.verified(t, p.ctx, cmd.AcquisitionID)
	told := records[record.ProcDumped](t, dir, artifact.KindProcDumped)
	if len(told) != 1 {
		t.Fatalf("%d processes are said to have been dumped", len(told))
	}
	b := p.memory(dir)
	sum := sha256.Sum256(fmt.Appendf(nil, "marked %d", of.PID))
	if !bytes.HasPrefix(b, []byte("MDMP")) || !bytes.Contains(b, bytes.Repeat(sum[:], 4)) {
		t.Errorf("the marker of process %d is not among the %d bytes of its memory", of.PID, len(b))
	}
	if r := told[0]; r.PID != of.PID || r.StartTicks != of.StartTicks || r.Size != int64(len(b)) || r.Problem != "" || !strings.Contains(r.Path, "marked-scene.exe") {
		t.Errorf("the dump is said to be of %+v", r)
	}
	if left, err := os.ReadDir(p.file("ProgramData/Hozen/agent")); err != nil || slices.ContainsFunc(left, func(e os.DirEntry) bool { return strings.Contains(e.Name(), "hozen-dump") }) {
		t.Errorf("the system's file is left: %v, %v", left, err)
	}
}

// memory is the memory of a process as evidence has it.
func (p *windowsPC) memory(dir string) []byte {
	p.t.Helper()
	f, err := os.Open(filepath.Join(dir, artifact.ArtifactDir, string(artifact.KindProcDump)+".raw.zst"))
	must(p.t, err)
	defer f.Close()
	z, err := zstd.NewReader(f)
	must(p.t, err)
	defer z.Close()
	b, err := io.ReadAll(z)
	must(p.t, err)
	return b
}

// driftIsTold has another program remove a filter that isolates the PC, and fails the test unless it
// is in force again and the collector knows which was removed.
func (p *windowsPC) driftIsTold() {
	t := p.t
	t.Helper()
	const name = "block all connect4"
	key := ""
	for k, n := range p.filters() {
		if strings.HasSuffix(n, name) {
			key = k
		}
	}
	if key == "" {
		t.Fatalf("no filter %q is in force", name)
	}
	p.do(p.tool("unfilter.exe", "unfilter"), key)
	var e isolationEvent
	p.await(t, p.ctx, "an event of the removed filter", func() (bool, error) {
		var list []isolationEvent
		err := p.collector.Glass().Call(p.ctx, "endpoint.isolation_events", map[string]string{"ref": p.id}, &list)
		i := slices.IndexFunc(list, func(e isolationEvent) bool { return e.Kind == "drift" })
		if i >= 0 {
			e = list[i]
		}
		return i >= 0, err
	})
	if len(e.Differences) == 0 || len(e.Seen) != 1 || !strings.Contains(e.Seen[0], name) || !strings.Contains(e.Seen[0], "removed") {
		t.Errorf("told: %+v", e)
	}
	if _, again := p.filters()[key]; !again {
		t.Error("the filter is not in force again")
	}
}
