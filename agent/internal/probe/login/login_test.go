package login

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/agent/internal/probe/session"
	"hozen/internal/artifact/record"
)

func TestConformance(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system has no such probe yet")
	}
	root := history(t, 3)
	probetest.Run(t, probetest.Config{New: func() probe.Probe { return New(root) }, Key: probetest.Join("source", "user", "uid", "pid")})
}

// history has n failed sign-ins and the last one of user 1000.
func history(t *testing.T, n int) string {
	t.Helper()
	root := t.TempDir()
	size := session.UtmpSize()
	var btmp []byte
	for i := range n {
		b := make([]byte, size)
		binary.NativeEndian.PutUint16(b, 6)
		binary.NativeEndian.PutUint32(b[4:], uint32(i+1))
		copy(b[44:], "root\xff")
		copy(b[76:], "192.0.2.7")
		btmp = append(btmp, b...)
	}
	lastlog := make([]byte, 1001*lastlogSize)
	binary.NativeEndian.PutUint32(lastlog[1000*lastlogSize:], 1766400000)
	copy(lastlog[1000*lastlogSize+4:], "pts/0")
	copy(lastlog[1000*lastlogSize+36:], "far.example")
	for name, b := range map[string][]byte{"btmp": btmp, "lastlog": lastlog} {
		path := filepath.Join(root, "var/log", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// TestFlood: of a flood of failures the newest are kept, and it is said what is not.
func TestFlood(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system has no such probe yet")
	}
	var l probetest.Lines
	err := New(history(t, newest+5)).Acquire(t.Context(), &l)
	if probe.AsMissing(err) == nil || !strings.Contains(err.Error(), "the 5 oldest") || len(l.All) != newest+1 {
		t.Fatalf("%d lines, %v", len(l.All), err)
	}
	var first, last record.Login
	if err := errors.Join(json.Unmarshal(l.All[0], &first), json.Unmarshal(l.All[newest], &last)); err != nil {
		t.Fatal(err)
	}
	if first.PID != 6 || first.Source != record.SourceBtmp || first.Kind != "login" || string(first.UserRaw) != "root\xff" || first.Host != "192.0.2.7" || first.UID != -1 {
		t.Errorf("%+v", first)
	}
	if last.UID != 1000 || last.TTY != "pts/0" || last.Host != "far.example" || last.At.Unix() != 1766400000 {
		t.Errorf("%+v", last)
	}
}

func FuzzLastlog(f *testing.F) {
	f.Add(make([]byte, lastlogSize))
	f.Add([]byte(strings.Repeat("\xff", 2*lastlogSize)))
	f.Fuzz(func(t *testing.T, b []byte) {
		list := parseLastlog(b)
		if len(list) > len(b)/lastlogSize {
			t.Fatal("more users than places")
		}
		for i := range list {
			if !json.Valid(list[i].AppendJSON(nil)) {
				t.Fatal("no JSON")
			}
		}
	})
}
