package session

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

// Recorded from logind 252 for a sign-in by ssh; names and addresses changed.
const logindFile = `# This is private data. Do not parse.
UID=1000
USER=alice
ACTIVE=1
IS_DISPLAY=1
STATE=active
REMOTE=1
TYPE=tty
CLASS=user
SCOPE=session-3.scope
FIFO=/run/systemd/sessions/3.ref
TTY=pts/0
REMOTE_HOST=192.0.2.7
SERVICE=sshd
LEADER=4711
AUDIT=3
REALTIME=1766400000123456
MONOTONIC=99
`

func TestParseLogind(t *testing.T) {
	want := record.Session{
		Source: "logind", ID: "3", Kind: "user", User: "alice", UID: 1000, TTY: "pts/0", Type: "tty", Service: "sshd",
		Scope: "session-3.scope", State: "active", Remote: true, RemoteHost: "192.0.2.7", LeaderPID: 4711, Audit: 3,
		Since: time.Date(2025, 12, 22, 10, 40, 0, 123456000, time.UTC),
	}
	if diff := cmp.Diff(want, parseLogind("3", []byte(logindFile))); diff != "" {
		t.Error(diff)
	}
	got := parseLogind("c1", []byte("USER=\"a\\x20b\\303\\251\\n\"\nREMOTE_HOST=x\\xff\nLEADER=99999999999\nUID=x\nUID\n"))
	if got.User != "a bé\n" || string(got.HostRaw) != "x\xff" || got.LeaderPID != 0 || got.UID != record.Unknown {
		t.Errorf("%+v", got)
	}
}

// utmpBytes makes a record of the layout of size bytes.
func utmpBytes(size int, typ int16, pid int32, line, user, host string, addr []byte, sec int64) []byte {
	b := make([]byte, size)
	binary.NativeEndian.PutUint16(b, uint16(typ))
	binary.NativeEndian.PutUint32(b[4:], uint32(pid))
	copy(b[8:40], line)
	copy(b[40:44], "ts/0")
	copy(b[44:76], user)
	copy(b[76:332], host)
	if size == utmpSize64 {
		binary.NativeEndian.PutUint64(b[344:], uint64(sec))
		copy(b[360:], addr)
	} else {
		binary.NativeEndian.PutUint32(b[340:], uint32(sec))
		copy(b[348:], addr)
	}
	return b
}

func TestParseUtmp(t *testing.T) {
	for _, size := range []int{utmpSize32, utmpSize64} {
		file := utmpBytes(size, 7, 4711, "pts/0", "alice", "192.0.2.7", []byte{192, 0, 2, 7}, 1766400000)
		file = append(file, make([]byte, size)...) // never used
		file = append(file, utmpBytes(size, 8, 12, "pts/1", "", "", []byte{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 5)...)
		file = append(file, "cut"...)
		got, err := parseUtmp(file, size)
		want := []record.Session{
			{Source: "utmp", ID: "ts/0", Kind: "user", User: "alice", UID: -1, TTY: "pts/0", Remote: true, RemoteHost: "192.0.2.7", RemoteAddr: "192.0.2.7", LeaderPID: 4711, Since: time.Unix(1766400000, 0).UTC()},
			{Source: "utmp", ID: "ts/0", Kind: "dead", UID: -1, TTY: "pts/1", Remote: true, RemoteAddr: "2001:db8::1", LeaderPID: 12, Since: time.Unix(5, 0).UTC()},
		}
		if diff := cmp.Diff(want, got); diff != "" || err == nil {
			t.Errorf("%d: error %v\n%s", size, err, diff)
		}
	}
}

func FuzzSources(f *testing.F) {
	f.Add([]byte(logindFile))
	f.Add([]byte("USER=\\"))
	f.Add(utmpBytes(utmpSize32, 7, 1, "tty1", "root", "", nil, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		one := parseLogind("x", b)
		a, _ := parseUtmp(b, utmpSize32)
		c, _ := parseUtmp(b, utmpSize64)
		if len(a) > len(b)/utmpSize32 || len(c) > len(b)/utmpSize64 {
			t.Fatal("more records than bytes")
		}
		for _, s := range append(append(a, c...), one) {
			if !json.Valid(s.AppendJSON(nil)) {
				t.Fatalf("%+v", s)
			}
		}
	})
}

// A pipe among the files of logind must not hold the probe up, and a link must not
// lead it out of its root.
func TestOwnRoot(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "run/systemd/sessions")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "3"), []byte(logindFile), 0o644); err != nil {
		t.Fatal(err)
	}
	makePipe(t, filepath.Join(dir, "3.ref"))
	if err := os.Symlink("/etc/passwd", filepath.Join(root, "run/utmp")); err != nil {
		t.Fatal(err)
	}
	var l probetest.Lines
	err := New(root).Acquire(t.Context(), &l)
	if len(l.All) != 1 || probe.AsMissing(err) == nil {
		t.Errorf("%d lines, error %v", len(l.All), err)
	}
}
