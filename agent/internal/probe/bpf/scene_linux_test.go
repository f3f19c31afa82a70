package bpf

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

// load makes an object of the kernel; the attributes are longer than those of reading.
func load(t *testing.T, cmd uintptr, attr []byte) int {
	t.Helper()
	fd, _, e := unix.Syscall(unix.SYS_BPF, cmd, uintptr(unsafe.Pointer(&attr[0])), uintptr(len(attr)))
	if e != 0 {
		t.Skip("this kernel loads no eBPF: ", e)
	}
	t.Cleanup(func() { unix.Close(int(fd)) })
	return int(fd)
}

// TestScene plants a map and a program that uses it.
func TestScene(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	ne := binary.NativeEndian
	m := make([]byte, 44) // map_type, key_size, value_size, max_entries, map_flags, inner_map_fd, numa_node, map_name
	for i, v := range []uint32{2, 4, 8, 3} {
		ne.PutUint32(m[4*i:], v)
	}
	copy(m[28:], "hozen_map")
	mapFD := load(t, unix.BPF_MAP_CREATE, m)

	ldMap := []byte{0x18, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} // r1 = the map, by its descriptor
	ne.PutUint32(ldMap[4:], uint32(mapFD))
	code := append(ldMap, 0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0) // r0 = 0; exit
	license := []byte("GPL\x00")
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&code[0])
	pin.Pin(&license[0])
	p := make([]byte, 64) // prog_type, insn_cnt, insns, license, log_level, log_size, log_buf, kern_version, prog_flags, prog_name
	ne.PutUint32(p, 1)
	ne.PutUint32(p[4:], uint32(len(code)/8))
	ne.PutUint64(p[8:], uint64(uintptr(unsafe.Pointer(&code[0]))))
	ne.PutUint64(p[16:], uint64(uintptr(unsafe.Pointer(&license[0]))))
	copy(p[48:], "hozen_prog")
	load(t, unix.BPF_PROG_LOAD, p)

	var l probetest.Lines
	if err := New().Acquire(t.Context(), &l); err != nil {
		t.Error(err)
	}
	var prog, mp record.BPF
	for _, b := range l.All {
		var r record.BPF
		if err := json.Unmarshal(b, &r); err != nil {
			t.Fatal(err)
		}
		switch r.Name {
		case "hozen_prog":
			prog = r
		case "hozen_map":
			mp = r
		}
	}
	if mp.Kind != "array" || mp.Key != 4 || mp.Value != 8 || mp.Entries != 3 || mp.ID == 0 {
		t.Errorf("map: %+v", mp)
	}
	if prog.Kind != "socket_filter" || !prog.GPL || prog.UID != 0 || prog.LoadedAt.IsZero() || !slices.Contains(prog.Maps, int64(mp.ID)) || len(prog.Tag) != 16 {
		t.Errorf("program: %+v", prog)
	}
}
