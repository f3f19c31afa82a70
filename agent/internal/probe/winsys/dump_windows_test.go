package winsys

import "testing"

// TestDumpIsAskedWhetherToGoOn: the answer to the question whether to go on is that it is to be
// asked again, and whether somebody wants the dump to end; what else Windows tells is left as it is.
// Wine tells of modules and threads and never asks.
func TestDumpIsAskedWhetherToGoOn(t *testing.T) {
	const module, untouched = 0, 0xabad1dea
	end := true
	asked := func() bool { return end }
	for _, c := range []struct {
		name string
		kind uint32
		by   *func() bool
		end  bool
		want [2]uint32
	}{
		{"to be ended", cancelCallback, &asked, true, [2]uint32{1, 1}},
		{"to go on", cancelCallback, &asked, false, [2]uint32{1, 0}},
		{"nobody asks", cancelCallback, nil, true, [2]uint32{1, 0}},
		{"of a module", module, &asked, true, [2]uint32{untouched, untouched}},
	} {
		stop.Store(c.by)
		end = c.end
		out := [2]uint32{untouched, untouched}
		if r := dumpCallback(0, &[4]uint32{7, 0, 0, c.kind}, &out); r != 1 || out != c.want {
			t.Errorf("%s: %d, %#x", c.name, r, out)
		}
	}
	stop.Store(nil)
}
