package procmap_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/agent/internal/probe/procmap"
	"hozen/agent/internal/probe/scan"
	"hozen/internal/artifact/record"
)

func fresh() probe.Probe { return procmap.New(scan.New(scan.Options{})) }

func TestConformance(t *testing.T) {
	if err := fresh().Acquire(t.Context(), new(probetest.Lines)); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system has no such probe yet")
	}
	probetest.Run(t, probetest.Config{New: fresh, Key: probetest.Join("pid", "start_ticks")})
}

// text was written by a kernel, but for the last two lines.
const text = `55d0c8a3f000-55d0c8a41000 r--p 00000000 fd:00 1835017                    /usr/bin/sleep
55d0c8a41000-55d0c8a45000 r-xp 00002000 fd:00 1835017                    /usr/bin/sleep
55d0c9f5b000-55d0c9f7c000 rw-p 00000000 00:00 0                          [heap]
7f3a1c000000-7f3a1c021000 rwxp 00000000 00:00 0 
7f3a1c021000-7f3a1c031000 r-xp 00000000 00:00 0 
7f3a20000000-7f3a20100000 r-xp 00000000 00:01 4711                       /memfd:kworker (deleted)
7f3a20100000-7f3a20200000 r-xp 00001000 fd:00 99                         /tmp/libevil.so (deleted)
7ffd5a5e0000-7ffd5a5e2000 r-xp 00000000 00:00 0                          [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
nonsense
7f3a20200000-7f3a20300000 r--p 00000000 fd:00 1835017                    /usr/bin/sleep
`

func TestParse(t *testing.T) {
	var p record.ProcMap
	if bad := procmap.Parse(&p, []byte(text), 100, record.Text); bad != 1 || len(p.Maps) != 10 || len(p.Objects) != 3 || p.Cut {
		t.Fatalf("%d bad, %d ranges, %d files", bad, len(p.Maps), len(p.Objects))
	}
	if o := p.Objects[0]; o.Path != "/usr/bin/sleep" || o.Dev != "fd:00" || o.Inode != 1835017 || !o.Exec || o.Deleted {
		t.Errorf("%+v", o)
	}
	if o := p.Objects[1]; o.Path != "/memfd:kworker" || !o.MemFD || !o.Deleted {
		t.Errorf("%+v", o)
	}
	var marks []string
	for _, m := range p.Maps {
		marks = append(marks, m.Mark)
	}
	want := []string{"", "", "", record.MarkWritable, record.MarkAnonymous, record.MarkMemFD, record.MarkDeleted, "", "", ""}
	if fmt.Sprint(marks) != fmt.Sprint(want) || p.Marked != 4 {
		t.Errorf("marks %q, %d counted", marks, p.Marked)
	}
	if p.Maps[9].Object != 1 || p.Maps[0].Object != 1 || p.Maps[2].Object != 0 || p.Maps[2].Name != "[heap]" || p.Maps[1].Offset != 0x2000 {
		t.Errorf("%+v", p.Maps)
	}
	var cut record.ProcMap
	procmap.Parse(&cut, []byte(text), 3, record.Text)
	if !cut.Cut || len(cut.Maps) != 3 {
		t.Errorf("%d ranges, cut %t", len(cut.Maps), cut.Cut)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(text))
	f.Add([]byte("0-0 ---- 0 : 0\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p record.ProcMap
		bad := procmap.Parse(&p, b, 50, record.Text)
		if n := strings.Count(string(b), "\n") + 1; bad+len(p.Maps) > n || len(p.Maps) > 50 {
			t.Fatalf("%d ranges and %d odd lines of %d", len(p.Maps), bad, n)
		}
		for _, m := range p.Maps {
			if m.Object < 0 || m.Object > len(p.Objects) || m.End < m.Start {
				t.Fatalf("%+v", m)
			}
		}
		p.AppendJSON(nil)
	})
}
