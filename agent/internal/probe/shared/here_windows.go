package shared

import (
	"context"

	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/winsys"
)

const system = "windows"

// here asks for named pipes, shares, and what others have open through them.
func here(ctx context.Context, _ string, o *facts.Out) error {
	var sys winsys.System
	pipes, err := sys.Pipes()
	o.Miss(err)
	for _, p := range pipes {
		if err := o.Write(pipe(p)); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	shares, err := sys.Shares()
	o.Miss(err)
	for _, s := range shares {
		if err := o.Write(offer(s.Name, s.Remark, s.Path, s.Type, s.Uses)); err != nil {
			return err
		}
	}
	files, err := sys.SharedFiles()
	o.Miss(err)
	for _, f := range files {
		if err := o.Write(opened(f.ID, f.Path, f.User, f.Rights, f.Locks)); err != nil {
			return err
		}
	}
	return ctx.Err()
}
