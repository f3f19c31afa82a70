package netfilter

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

func TestConformance(t *testing.T) {
	for name, fresh := range map[string]func() probe.Probe{
		"rules": func() probe.Probe { return New("/", nil) }, "connections": func() probe.Probe { return NewConntrack("/") },
	} {
		t.Run(name, func(t *testing.T) {
			err := fresh().Acquire(t.Context(), new(probetest.Lines))
			if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
				t.Skip("not to be read here: ", err)
			}
			probetest.Run(t, probetest.Config{New: fresh, MayBeEmpty: true, Key: probetest.Join("type", "family", "table", "chain", "name", "handle", "id")})
		})
	}
}

// attr makes an attribute, padded.
func attr(typ uint16, v ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(v)))
	b = append(binary.NativeEndian.AppendUint16(b, typ), v...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func join(bs ...[]byte) (all []byte) {
	for _, b := range bs {
		all = append(all, b...)
	}
	return all
}

func word(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
func long(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

func TestParseRule(t *testing.T) {
	expr := func(name string, data []byte) []byte {
		return attr(1, join(appendText(nil, 1, name), attr(2, data...))...)
	}
	b := join([]byte{2, 0, 0, 0}, appendText(nil, 1, "filter"), appendText(nil, 2, "INPUT"), attr(3, long(7)...),
		attr(4, join(
			expr("match", appendText(nil, 1, "conntrack")),
			expr("counter", join(attr(1, long(500)...), attr(2, long(5)...))),
			expr("immediate", attr(2, attr(2, join(attr(1, word(uint32(0xfffffffd))...), appendText(nil, 2, "LOG_DROP"))...)...)),
		)...),
		attr(7, append([]byte{0, 4}, "why\x00"...)...))
	f, err := parseObject(record.FilterRule, b)
	if err != nil || f.Family != "ip" || f.Table != "filter" || f.Chain != "INPUT" || f.Handle != 7 || f.Packets != 5 || f.Bytes != 500 || f.Comment != "why" {
		t.Errorf("%+v, %v", f, err)
	}
	if len(f.Exprs) != 3 || f.Exprs[0] != "match conntrack" || f.Exprs[1] != "counter" || f.Exprs[2] != "jump LOG_DROP" {
		t.Errorf("%q", f.Exprs)
	}
	if string(f.Raw) != string(b[4:]) {
		t.Error("the row is not kept whole")
	}
}

func TestParseFlow(t *testing.T) {
	dir := func(typ uint16, src, dst [4]byte, sport, dport uint16) []byte {
		return attr(typ, join(
			attr(1, join(attr(1, src[:]...), attr(2, dst[:]...))...),
			attr(2, join(attr(1, 6), attr(2, byte(sport>>8), byte(sport)), attr(3, byte(dport>>8), byte(dport)))...))...)
	}
	b := join([]byte{2, 0, 0, 0}, dir(1, [4]byte{10, 0, 0, 5}, [4]byte{192, 0, 2, 9}, 4000, 443), dir(2, [4]byte{192, 0, 2, 9}, [4]byte{198, 51, 100, 1}, 443, 61000),
		attr(3, word(2|4|8|16)...), attr(4, attr(1, attr(1, 3)...)...), attr(7, word(431999)...), attr(8, word(9)...), attr(9, join(attr(1, long(3)...), attr(2, long(300)...))...))
	f, err := parseFlow(b)
	if err != nil || f.Proto != "tcp" || f.Src != "10.0.0.5" || f.SrcPort != 4000 || f.DstPort != 443 || f.ReplyDst != "198.51.100.1" || f.ReplyDstPort != 61000 ||
		f.State != "established" || f.Timeout != 431999 || f.Mark != 9 || f.Packets != 3 || f.Bytes != 300 || len(f.Status) != 4 || f.Status[3] != "src_nat" {
		t.Errorf("%+v, %v", f, err)
	}
}

// TestAskedOnlyWhereLoaded: a question would load the module.
func TestAskedOnlyWhereLoaded(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system has no such probe yet")
	}
	for name, c := range map[string]struct {
		files map[string]string
		want  bool
	}{
		"no modules at all": {want: true},
		"loaded":            {map[string]string{"proc/modules": "x 1 0 - Live 0\nnf_tables 1 0 - Live 0\n"}, true},
		"not loaded":        {map[string]string{"proc/modules": "nf_tables_ipv4 1 0 - Live 0\n", "proc/sys/kernel/osrelease": "6.1\n"}, false},
		"compiled in":       {map[string]string{"proc/modules": "", "proc/sys/kernel/osrelease": "6.1\n", "lib/modules/6.1/modules.builtin": "kernel/net/netfilter/nf_tables.ko\n"}, true},
	} {
		root := t.TempDir()
		for file, text := range c.files {
			path := filepath.Join(root, filepath.FromSlash(file))
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		r, err := facts.Open(root)
		if err != nil {
			t.Fatal(err)
		}
		if got := loaded(r, "nf_tables"); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
		r.Close()
	}
}

func FuzzRows(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 8, 0, 1, 0, 'a', 0, 0, 0})
	f.Add(join([]byte{10, 0, 0, 0}, attr(1, attr(1, attr(3, make([]byte, 16)...)...)...), attr(20, attr(1, long(5)...)...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, kind := range []string{record.FilterTable, record.FilterChain, record.FilterRule, record.FilterSet} {
			o, _ := parseObject(kind, b)
			if !json.Valid(o.AppendJSON(nil)) {
				t.Fatal("no JSON")
			}
		}
		w, _ := parseFlow(b)
		if !json.Valid(w.AppendJSON(nil)) {
			t.Fatal("no JSON")
		}
	})
}
