package procmap

import (
	"context"
	"errors"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/scan"
	"hozen/agent/internal/probe/winbytes"
	"hozen/agent/internal/probe/winscan"
	"hozen/agent/internal/probe/winsys"
	"hozen/internal/artifact/record"
)

func walk(ctx context.Context, pass *scan.Pass, w probe.Writer) error {
	list, err := pass.Processes(ctx)
	if len(list) == 0 {
		return err
	}
	return each(ctx, list, tell, w)
}

func tell(p *record.Process) (modules []module, regions []region, err error) {
	m, r, err := winsys.System{}.Memory(p.PID, p.StartTicks)
	if errors.Is(err, winscan.ErrGone) {
		err = errEnded
	}
	for _, l := range m {
		x := module{base: l.Base, size: l.Size}
		x.path, x.exact = winbytes.Text16(l.Path)
		modules = append(modules, x)
	}
	for _, l := range r {
		name, _ := winbytes.Text16(l.File)
		regions = append(regions, region{l.Base, l.Size, l.Protect, name})
	}
	return modules, regions, err
}
