package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// peakMemory is the most that the agent may have resident during any profile, in bytes.
const peakMemory = 60e6

// TestVolatileSceneIsInTheEvidence plants in namespaces of its own what intruders leave,
// takes the volatile profile there and looks for each of it.
func TestVolatileSceneIsInTheEvidence(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to make namespaces")
	}
	need(t, "sleep")
	var s scene
	for range 3 { // a probe of a very busy machine may run out of time, and says so
		if s = play(t); s.whole() {
			break
		}
	}
	if _, text, code := command(t, programs(t).Verify, "--lang", "en", s.Folder); code != verifyConsistent {
		t.Fatalf("hozen-verify: exit code %d\n%s", code, text)
	}
	t.Run("programs without a file", s.withoutFile)
	t.Run("processes that pose as others", s.posing)
	t.Run("connections", s.connections)
	t.Run("environments", s.environments)
	t.Run("memory", s.memory)
	t.Run("hidden", s.hidden)
	t.Run("footprint", s.footprint)
}

// scene is what the agent took, and who was there.
type scene struct {
	acquired
	pids map[string]int
}

// play sets the scene up once and lets the agent acquire it.
func play(t *testing.T) (s scene) {
	t.Helper()
	dir, agent := t.TempDir(), programs(t).Agent
	cmd := exec.CommandContext(within(t, patience), "/proc/self/exe", agent, dir)
	cmd.Env = append(os.Environ(), sceneVar+"=stage")
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET}
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s%s", err, out, errOut.String())
	}
	decode(t, out, &s.acquired)
	b, err := os.ReadFile(filepath.Join(dir, sceneFile))
	must(t, err)
	decode(t, b, &s.pids)
	s.Folder = filepath.Join(dir, "evidence")
	return s
}

// whole reports whether nothing of what is looked at ran out of time. The crossed views
// are not asked: on a busy machine they leave out numbers that no process has had lately,
// and find what the scene hides all the same.
func (s scene) whole() bool {
	for _, p := range s.Manifest.Probes {
		switch p.Kind {
		case artifact.KindProcess, artifact.KindNetConn, artifact.KindProcState, artifact.KindProcMap, artifact.KindProcEnv,
			artifact.KindDeletedExe, artifact.KindFootprint:
			if p.Outcome != artifact.Complete {
				return false
			}
		}
	}
	return true
}

// process returns the record of who plays a part.
func (s scene) process(t *testing.T, part string) record.Process {
	t.Helper()
	for _, p := range records[record.Process](t, s.Folder, artifact.KindProcess) {
		if p.PID == s.pids[part] {
			return p
		}
	}
	t.Fatalf("%s is not among the processes", part)
	return record.Process{}
}

func (s scene) withoutFile(t *testing.T) {
	small, err := program()
	must(t, err)
	if p := s.process(t, "deleted"); !p.ExeDeleted || p.ExeMemFD || !strings.HasSuffix(p.Exe, "/dropper") {
		t.Errorf("%+v", p)
	}
	if p := s.process(t, "memfd"); !p.ExeMemFD || p.Exe != "/memfd:implant" {
		t.Errorf("%+v", p)
	}
	saved := map[int][]byte{} // by process
	owner, sums := map[int]int{}, map[int]string{}
	for _, raw := range records[json.RawMessage](t, s.Folder, artifact.KindDeletedExe) {
		var head record.DeletedFile
		decode(t, raw, &head)
		switch head.Part {
		case record.PartFile:
			owner[head.File] = head.Processes[0].PID
		case record.PartData:
			var d record.DeletedData
			decode(t, raw, &d)
			saved[owner[d.File]] = append(saved[owner[d.File]], d.Data...)
		case record.PartEnd:
			var e record.DeletedEnd
			decode(t, raw, &e)
			sums[owner[e.File]] = e.SHA256
		}
	}
	for part, want := range map[string][]byte{"deleted": small, "memfd": append(slices.Clone(small), "memory alone"...)} {
		sum := sha256.Sum256(want)
		if pid := s.pids[part]; !bytes.Equal(saved[pid], want) || sums[pid] != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: %d bytes saved of %d, SHA-256 %s", part, len(saved[pid]), len(want), sums[pid])
		}
	}
}

func (s scene) posing(t *testing.T) {
	p := s.process(t, "posing")
	if p.KernelOnly || len(p.Args) == 0 || p.Args[0] != "[kworker/u4:2]" || p.Exe == "" {
		t.Errorf("what poses as a thread of the kernel: %+v", p)
	}
	if p := s.process(t, "erased"); strings.Contains(strings.Join(p.Args, " "), "swordfish") || p.Exe == "" || p.CmdlineRaw == nil {
		t.Errorf("who erased its arguments: %+v", p)
	}
}

func (s scene) connections(t *testing.T) {
	held := map[string]int{}
	shell, packets, raws := 0, 0, 0
	for _, c := range records[record.Socket](t, s.Folder, artifact.KindNetConn) {
		for _, o := range c.Owners {
			switch {
			case o.PID == s.pids["sockets"] && c.Proto == record.ProtoTCP:
				held[c.State]++
			case o.PID == s.pids["shell"] && c.State == "ESTABLISHED" && o.FD <= 2:
				shell++
			case o.PID == s.pids["raw"] && c.Proto == record.ProtoPacket:
				packets++
			case o.PID == s.pids["raw"] && c.Proto == record.ProtoRaw && c.ProtocolNum == unix.IPPROTO_ICMP:
				raws++
			}
		}
	}
	if held["LISTEN"] != sceneSockets/5 || held["ESTABLISHED"] != sceneSockets*4/5 {
		t.Errorf("of %d sockets: %v", sceneSockets, held)
	}
	if shell != 3 {
		t.Errorf("the shell has %d of its three descriptors on the connection", shell)
	}
	if packets != 1 || raws != 1 {
		t.Errorf("%d packet sockets, %d raw ones", packets, raws)
	}
	listens := 0
	for _, p := range records[record.ProcState](t, s.Folder, artifact.KindProcState) {
		if p.PID == s.pids["sockets"] {
			listens = len(p.Listens)
		}
	}
	if listens == 0 {
		t.Error("who listens is not told with the processes")
	}
}

func (s scene) environments(t *testing.T) {
	for _, e := range records[record.ProcEnv](t, s.Folder, artifact.KindProcEnv) {
		if e.PID != s.pids["preload"] {
			continue
		}
		if !slices.ContainsFunc(e.Vars, func(v record.EnvVar) bool { return v.Name == "LD_PRELOAD" && v.Value == scenePreload }) {
			t.Errorf("LD_PRELOAD is not there: %+v", e)
		}
		if !slices.ContainsFunc(e.Vars, func(v record.EnvVar) bool {
			return v.Name == "DB_PASSWORD" && v.Withheld && v.Value == "" && v.ValueBytes == len(sceneSecret)
		}) {
			t.Errorf("the password is not withheld: %+v", e)
		}
		return
	}
	t.Error("the process with LD_PRELOAD has no environment")
}

func (s scene) memory(t *testing.T) {
	marks := map[int][]string{}
	for _, p := range records[record.ProcMap](t, s.Folder, artifact.KindProcMap) {
		for _, m := range p.Maps {
			if m.Mark != "" {
				marks[p.PID] = append(marks[p.PID], m.Mark)
			}
		}
	}
	for part, want := range map[string]string{"executable": record.MarkWritable, "memfd": record.MarkMemFD, "deleted": record.MarkDeleted} {
		if !slices.Contains(marks[s.pids[part]], want) {
			t.Errorf("%s has the marks %q, want %s", part, marks[s.pids[part]], want)
		}
	}
}

func (s scene) hidden(t *testing.T) {
	pid, checks := s.pids["hidden"], 0
	found := false
	for _, f := range records[record.CrossFinding](t, s.Folder, artifact.KindCrossView) {
		switch {
		case f.Finding == "":
			checks++
		case f.Finding == record.FindCovered && f.PID == pid:
			found = true
			if f.MountPoint != fmt.Sprintf("/proc/%d", pid) || f.FSType != "tmpfs" || !slices.Contains(f.Args, "--hidden") {
				t.Errorf("%s", f.AppendJSON(nil))
			}
		default:
			t.Errorf("nothing was hidden there: %s", f.AppendJSON(nil))
		}
	}
	if !found || checks != 4 {
		t.Errorf("the covered process is found: %t; %d checks", found, checks)
	}
}

func (s scene) footprint(t *testing.T) {
	if last := s.Manifest.Probes[len(s.Manifest.Probes)-1]; last.Kind != artifact.KindFootprint {
		t.Errorf("%s is read last", last.Kind)
	}
	f := records[record.Footprint](t, s.Folder, artifact.KindFootprint)
	if len(f) != 1 || f[0].ReadChars == 0 || f[0].UserNS+f[0].SystemNS == 0 || !f[0].Gentle || f[0].Niceness == 0 {
		t.Fatalf("%+v", f)
	}
	t.Logf("peak memory %d bytes, CPU %d ms", f[0].MaxRSSBytes, (f[0].UserNS+f[0].SystemNS)/1e6)
	if os.Getenv(raceVar) == "" && f[0].MaxRSSBytes > peakMemory {
		t.Errorf("the agent used %d bytes of memory", f[0].MaxRSSBytes)
	}
}
