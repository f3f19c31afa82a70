package procfs

import (
	"bytes"
	"testing"
)

func TestUnit(t *testing.T) {
	for path, want := range map[string][3]string{
		"/":                               {},
		"/system.slice/ssh.service":       {"ssh.service", "", "system.slice"},
		"/system.slice/docker-0123.scope": {"docker-0123.scope", "", "system.slice"},
		"/user.slice/user-1000.slice/session-3.scope":                          {"session-3.scope", "", "user-1000.slice"},
		"/user.slice/user-1000.slice/user@1000.service/app.slice/evil.service": {"user@1000.service", "evil.service", "app.slice"},
		"/system.slice/system-getty.slice/getty@tty1.service":                  {"getty@tty1.service", "", "system-getty.slice"},
		"/kubepods/besteffort/pod1/0123456789":                                 {},
		"/machine.slice/machine-a.scope/payload/system.slice/x.service":        {"x.service", "", "system.slice"},
	} {
		unit, user, slice := Unit(path)
		if got := [3]string{unit, user, slice}; got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
}

func FuzzNextMapping(f *testing.F) {
	f.Add([]byte("55d0c8a3f000-55d0c8a41000 r--p 00000000 fd:00 1835017                    /usr/bin/a b\n"))
	f.Add([]byte("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n"))
	f.Add([]byte("0-0 ---- 0 0:0 0"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for n := 0; len(b) > 0; n++ {
			m, rest, ok := NextMapping(b)
			if len(rest) >= len(b) {
				t.Fatal("no progress")
			}
			if ok && (m.End < m.Start || len(m.Perms) != 4 || bytes.IndexByte(m.Path, '\n') >= 0) {
				t.Fatalf("%+v", m)
			}
			b = rest
		}
	})
}
