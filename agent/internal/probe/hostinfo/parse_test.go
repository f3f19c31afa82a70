package hostinfo

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

func TestParse(t *testing.T) {
	vars := parseOSRelease([]byte("ID=debian\nVERSION_ID=\"12\"\n# NAME=x\nPRETTY_NAME=\"a \\\"b\\\"\"\nID_LIKE='x y'\nBAD\nODD=\"\n"))
	for name, want := range map[string]string{"ID": "debian", "VERSION_ID": "12", "PRETTY_NAME": `a "b"`, "ID_LIKE": "x y", "ODD": `"`} {
		if vars[name] != want {
			t.Errorf("%s is %q", name, vars[name])
		}
	}
	if got := parseBootTime([]byte("cpu 1 2\nbtime 1766400000\n")); got.Unix() != 1766400000 {
		t.Error(got)
	}
	if got := parseBootTime([]byte("btime x\n")); !got.IsZero() {
		t.Error(got)
	}
	if pseudo("tmpfs") || !pseudo("proc") || local("nfs4") || local("fuse.sshfs") || !local("ext4") {
		t.Error("file systems are confused")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("ID=\"a\\\\\"\nbtime 5"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, value := range parseOSRelease(b) {
			if len(name)+len(value) > 4*len(b) {
				t.Fatal("more than there was")
			}
		}
		h := record.HostInfo{BootTime: parseBootTime(b)}
		if !json.Valid(h.AppendJSON(nil)) {
			t.Fatalf("%+v", h)
		}
	})
}

// What the environment says of HOST_PROC and its like must not lead the probe to
// other files than those of its root.
func TestEnvironmentDoesNotLead(t *testing.T) {
	forged := t.TempDir()
	for name, text := range map[string]string{
		"meminfo": "MemTotal: 666 kB\nMemFree: 1 kB\n", "cpuinfo": "processor : 0\nmodel name : forged\n", "1/mountinfo": "",
		"mountinfo": "1 1 0:1 / /forged rw - ext4 /dev/forged rw\n", "self/mountinfo": "", "filesystems": "ext4\n",
	} {
		path := filepath.Join(forged, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"HOST_PROC", "HOST_SYS", "HOST_ETC", "HOST_VAR", "HOST_RUN", "HOST_DEV", "HOST_ROOT"} {
		t.Setenv(name, forged)
	}
	t.Setenv("HOST_PROC_MOUNTINFO", filepath.Join(forged, "mountinfo"))
	var l probetest.Lines
	if err := New("/").Acquire(t.Context(), &l); err != nil {
		t.Skip(err)
	}
	var h record.HostInfo
	if err := json.Unmarshal(l.All[0], &h); err != nil {
		t.Fatal(err)
	}
	if h.MemTotal == 666<<10 || h.CPUModel == "forged" || h.Hostname == "" || h.MemTotal < 1<<20 || len(h.Disks) == 0 {
		t.Errorf("%s", l.All[0])
	}
	for _, d := range h.Disks {
		if d.MountPoint == "/forged" {
			t.Errorf("%+v", d)
		}
	}
}
