package kmod

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

func fresh() probe.Probe { return New("/") }

func TestConformance(t *testing.T) {
	if err := fresh().Acquire(t.Context(), new(probetest.Lines)); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system has no such probe yet")
	}
	probetest.Run(t, probetest.Config{New: fresh, Key: probetest.Join("name")})
}

const modules = `nf_tables 311296 12 nft_ct,nft_compat, Live 0xffffffffc0a00000
evil 16384 0 - Live 0x0000000000000000 (OE)
ipv6 1 2 [permanent], Live 0x0
half 16384 - - Loading 0x0 (OE+)
odd
`

// TestHiddenModule: one that only /proc shows, one that only /sys shows, one that both do.
func TestHiddenModule(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system has no such probe yet")
	}
	root := t.TempDir()
	for name, text := range map[string]string{
		"proc/modules": modules, "proc/sys/kernel/tainted": "12288\n", "proc/sys/kernel/osrelease": "6.1.0\n",
		"sys/module/nf_tables/initstate": "live\n", "sys/module/nf_tables/srcversion": "AB12\n",
		"sys/module/ghost/initstate": "live\n", "sys/module/ghost/taint": "OE\n", "sys/module/printk/parameters/time": "Y\n",
	} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	var l probetest.Lines
	if err := New(root).Acquire(t.Context(), &l); probe.AsMissing(err) == nil {
		t.Errorf("the odd line: %v", err)
	}
	got := map[string]record.KernelModule{}
	for _, line := range l.All {
		var m record.KernelModule
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		got[m.Name] = m
	}
	if k := got[""]; k.Tainted != "OE" || len(k.Why) != 2 || !strings.Contains(k.Why[1], "unsigned") || k.Version != "6.1.0" {
		t.Errorf("kernel: %+v", k)
	}
	if m := got["nf_tables"]; !m.InProc || !m.InSys || m.Source != "AB12" || len(m.UsedBy) != 2 || m.Refs != 12 || m.State != "live" {
		t.Errorf("%+v", m)
	}
	if m := got["evil"]; !m.InProc || m.InSys || m.Tainted != "OE" || len(m.Why) != 2 {
		t.Errorf("only in /proc: %+v", m)
	}
	if m := got["ghost"]; m.InProc || !m.InSys || m.Tainted != "OE" {
		t.Errorf("only in /sys: %+v", m)
	}
	if m := got["half"]; m.Tainted != "OE" || m.State != "loading" || m.Refs != -1 {
		t.Errorf("%+v", m)
	}
	if m := got["ipv6"]; m.Refs != -1 || len(m.UsedBy) != 0 {
		t.Errorf("%+v", m)
	}
	if len(got) != 6 {
		t.Errorf("%d lines: what is compiled in is no module", len(got))
	}
}

func TestTaint(t *testing.T) {
	if got := letters(1 | 1<<12 | 1<<63); got != "PO?" {
		t.Error(got)
	}
	if _, why := explain("?"); len(why) != 1 || !strings.Contains(why[0], "not known") {
		t.Error(why)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(modules))
	f.Add([]byte("\xff 1 1 \xff, \xff x (\xff)"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, odd := parse(b)
		if len(list)+odd > strings.Count(string(b), "\n")+1 {
			t.Fatal("more modules than lines")
		}
		for i := range list {
			list[i].Tainted, list[i].Why = explain(list[i].Tainted)
			if !json.Valid(list[i].AppendJSON(nil)) {
				t.Fatal("no JSON")
			}
		}
	})
}
