package winscan_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/winbytes"
	"hozen/agent/internal/probe/winscan"
)

// handles is a PC whose processes have three handles each.
type handles struct {
	pids   []int
	refuse map[int]error
	closed int
	stop   func()
}

func (h *handles) Table() (winbytes.Answer, error) {
	b := binary.LittleEndian.AppendUint64(nil, uint64(3*len(h.pids)))
	b = append(b, make([]byte, 8)...)
	for i := range 3 {
		for _, pid := range h.pids { // not by process
			row := make([]byte, 40)
			binary.LittleEndian.PutUint64(row[8:], uint64(pid))
			binary.LittleEndian.PutUint64(row[16:], uint64(4*i))
			binary.LittleEndian.PutUint32(row[24:], 0x1f)
			b = append(b, row...)
		}
	}
	return winbytes.Answer{Bytes: b}, nil
}

func (h *handles) Process(pid int, _ int64) (winscan.Namer, error) { return h, h.refuse[pid] }
func (h *handles) Close()                                          { h.closed++ }

func (h *handles) Name(x winbytes.Handle) (winscan.Name, bool) {
	if h.stop != nil {
		h.stop()
	}
	switch x.Value {
	case 0:
		return winscan.Name{Kind: "File", Target: `C:\経理\請求.xlsx`}, false
	case 4:
		return winscan.Name{Kind: "Event"}, false
	}
	return winscan.Name{Kind: "File"}, true // a pipe that waits
}

func table() winbytes.Answer {
	return rows(winbytes.Process{PID: 0}, winbytes.Process{PID: 8, Created: 134000000000000000}, winbytes.Process{PID: 12, Created: 134000000000000000}, winbytes.Process{PID: 16, Created: 134000000000000000})
}

func TestHandlesOfProcesses(t *testing.T) {
	h := &handles{pids: []int{8, 12, 16, 999}, refuse: map[int]error{12: fs.ErrPermission, 16: winscan.ErrGone}}
	list, err := winscan.New(&recorded{Table: table()}).Files(t.Context(), h)
	m := probe.AsMissing(err)
	if m == nil || m.Skipped != 2 || !errors.Is(err, fs.ErrPermission) { // one refused, one name
		t.Errorf("%v", err)
	}
	if len(list) != 1 || list[0].PID != 8 || list[0].StartTicks == 0 || len(list[0].FDs) != 2 || h.closed != 1 {
		t.Fatalf("%d closed, %+v", h.closed, list)
	}
	if f := list[0].FDs[0]; f.Kind != "File" || f.Target != `C:\経理\請求.xlsx` || f.Access != "1f" || f.Silent {
		t.Errorf("%+v", f)
	}
	if f := list[0].FDs[1]; !f.Silent || f.FD != 8 {
		t.Errorf("what did not answer: %+v", f)
	}
}

func TestHandlesUntilTimeIsUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	h := &handles{pids: []int{8, 12}, stop: cancel}
	list, err := winscan.New(&recorded{Table: table()}).Files(ctx, h)
	if m := probe.AsMissing(err); m == nil || !errors.Is(err, context.Canceled) || len(list) != 1 || !list[0].Cut || len(list[0].FDs) != 1 {
		t.Errorf("%v, %+v", err, list)
	}
	if _, err := winscan.New(&recorded{Table: table()}).Files(ctx, h); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
