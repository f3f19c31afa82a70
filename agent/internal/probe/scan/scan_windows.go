package scan

import (
	"context"

	"hozen/agent/internal/probe/winscan"
	"hozen/agent/internal/probe/winsys"
	"hozen/internal/artifact/record"
)

// state is one reading of Windows. The calls that it is made of look into the kernel's own
// memory and do not wait for the process that they tell of.
type state struct{ scan *winscan.Scan }

// keep is the names of the types of handles, and a count of the threads that wait for one.
type keep struct{ handles *winsys.Handles }

func newKeep() keep { return keep{winsys.NewHandles()} }

func (p *Pass) reading() *winscan.Scan {
	if p.state.scan == nil {
		p.state.scan = winscan.New(winsys.System{})
	}
	return p.state.scan
}

func (p *Pass) processes(ctx context.Context) ([]*record.Process, error) {
	return p.reading().Processes(ctx)
}

func (p *Pass) sockets(ctx context.Context) ([]record.Socket, error) {
	return p.reading().Sockets(ctx)
}

func (p *Pass) files(ctx context.Context) ([]record.OpenFiles, error) {
	if p.opt.Keep == nil {
		p.opt.Keep = NewKeep()
	}
	handles := p.opt.Keep.handles
	defer handles.Rest()
	return p.reading().Files(ctx, handles)
}
