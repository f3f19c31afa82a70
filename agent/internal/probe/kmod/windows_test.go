package kmod

import (
	"testing"

	"hozen/agent/internal/probe/winbytes"
)

func TestDriverOfWindows(t *testing.T) {
	m := driver(&winbytes.Driver{Path: []byte(`\??\C:\Temp\evil.sys`), Name: 12, Size: 4096})
	if m.Name != "evil.sys" || m.Path != `\??\C:\Temp\evil.sys` || m.Size != 4096 || m.PathRaw != nil {
		t.Errorf("%+v", m)
	}
	if m = driver(&winbytes.Driver{Path: []byte("\\\x8d\xec.sys"), Name: 1}); string(m.NameRaw) != "\x8d\xec.sys" || m.Name == "" {
		t.Errorf("the bytes of a Japanese name are lost: %+v", m)
	}
}
