package procmap

import (
	"context"
	"errors"
	"io/fs"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

func TestModulesOfWindows(t *testing.T) {
	m := line(&record.Process{PID: 8, StartTicks: 9, Comm: "x.exe"},
		[]module{{base: 0x7000, size: 0x1000, path: `C:\b.dll`}, {base: 0x4000, size: 0x2000, path: `C:\x.exe`}},
		[]region{{base: 0x1000, size: 0x1000, protect: 0x40}, {base: 0x2000, size: 0x1000, protect: 0x20}, {base: 0x3000, size: 0x1000, protect: 0x120, file: `\Device\x`}, {base: 0x9000, size: 1, protect: 0x80, file: "y"}, {base: 0xa000, size: 1, protect: 0x10}})
	if len(m.Objects) != 2 || m.Objects[0].Path != `C:\x.exe` || len(m.Maps) != 7 || m.Maps[0].Start != 0x4000 || m.Maps[0].End != 0x6000 || m.Maps[0].Object != 1 || m.Marked != 4 {
		t.Fatalf("%+v", m)
	}
	for i, want := range []struct{ perms, mark string }{{"", ""}, {"", ""}, {"rwxp", record.MarkWritable}, {"r-xp", record.MarkAnonymous}, {"r-xp", ""}, {"rwxp", record.MarkWritable}, {"--xp", record.MarkAnonymous}} {
		if x := m.Maps[i]; x.Perms != want.perms || x.Mark != want.mark {
			t.Errorf("%d: %+v", i, x)
		}
	}
	if many := line(&record.Process{}, nil, make([]region, maxMaps+1)); !many.Cut || len(many.Maps) != maxMaps {
		t.Error("no end")
	}
}

func TestEachProcessOfWindows(t *testing.T) {
	procs := []*record.Process{{PID: 4, KernelOnly: true}, {PID: 8}, {PID: 12}, {PID: 16}, {PID: 20}}
	odd := errors.New("odd")
	tell := func(p *record.Process) ([]module, []region, error) {
		switch p.PID {
		case 4:
			t.Error("the kernel was asked")
		case 12:
			return nil, nil, errEnded
		case 16:
			return nil, nil, fs.ErrPermission
		case 20:
			return []module{{base: 1}}, nil, odd
		}
		return []module{{base: 1, path: "a"}}, nil, nil
	}
	var l probetest.Lines
	err := each(t.Context(), procs, tell, &l)
	if m := probe.AsMissing(err); m == nil || m.Skipped != 2 || !errors.Is(err, fs.ErrPermission) || len(l.All) != 2 {
		t.Errorf("%v, %d lines", err, len(l.All))
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := each(over, procs, tell, &l); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := each(t.Context(), procs, tell, &probetest.Lines{FailAfter: 1}); !errors.Is(err, probetest.ErrWriter) {
		t.Error(err)
	}
}
