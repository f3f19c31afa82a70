package bpf

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/sockdiag"
	"hozen/internal/artifact/record"
)

// family is the commands of bpf(2) for one kind of object.
type family struct {
	typ        string
	next, open uintptr
	parse      func(b []byte) record.BPF
}

// attrSize is what is handed over of union bpf_attr: what is used of it lies in the
// beginning, and a kernel takes a shorter one.
const attrSize = 32

func read(ctx context.Context, o *facts.Out) error {
	epoch := bootEpoch()
	for _, f := range []family{
		{record.BPFProgram, unix.BPF_PROG_GET_NEXT_ID, unix.BPF_PROG_GET_FD_BY_ID, parseProgram},
		{record.BPFMap, unix.BPF_MAP_GET_NEXT_ID, unix.BPF_MAP_GET_FD_BY_ID, parseMap},
		{record.BPFLink, unix.BPF_LINK_GET_NEXT_ID, unix.BPF_LINK_GET_FD_BY_ID, parseLink},
	} {
		for id, n := uint32(0), 0; ; n++ {
			if err := ctx.Err(); err != nil {
				return err
			}
			if n == maxObjects {
				o.Miss(fmt.Errorf("only the first %d of kind %s are told", n, f.typ))
				break
			}
			next, err := nextID(f.next, id)
			if errors.Is(err, unix.ENOENT) {
				break
			}
			if errors.Is(err, unix.ENOSYS) {
				return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
			}
			if err != nil { // EINVAL: an older kernel has no links
				if !errors.Is(err, unix.EINVAL) {
					o.Miss(fmt.Errorf("list eBPF %ss: %w", f.typ, err))
				}
				break
			}
			id = next
			p, err := object(f, id)
			if errors.Is(err, unix.ENOENT) {
				continue // gone since
			}
			if err != nil {
				o.Miss(fmt.Errorf("ask for eBPF %s %d: %w", f.typ, id, err))
				continue
			}
			if p.LoadedNS > 0 && p.LoadedNS < 1<<62 {
				p.LoadedAt = epoch.Add(time.Duration(p.LoadedNS)).UTC()
			}
			if err := o.Write(&p); err != nil {
				return err
			}
		}
	}
	return attached(ctx, o)
}

// attached tells of the programs that interfaces run without a link: those of XDP and of tc(8),
// in the network namespace of the agent.
func attached(ctx context.Context, o *facts.Out) error {
	conn, err := sockdiag.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	list, err := hanging(maxObjects, func(typ uint16, question []byte, row func([]byte)) error {
		return conn.Routing(ctx, typ, question, func(_ uint16, body []byte) error {
			row(body)
			return nil
		})
	}, o.Miss)
	for _, p := range list {
		if err := o.Write(p); err != nil {
			return err
		}
	}
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) { // a kernel without tc
		return fmt.Errorf("ask for programs at interfaces: %w", err)
	}
	return nil
}

// bootEpoch is the wall clock's time at boot, as the clocks stand now.
func bootEpoch() time.Time {
	var up unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &up) != nil {
		return time.Time{}
	}
	return time.Now().Add(-time.Duration(up.Nano()))
}

// nextID returns the identifier behind id.
func nextID(cmd uintptr, id uint32) (uint32, error) {
	var attr [attrSize]byte
	binary.NativeEndian.PutUint32(attr[:], id)
	_, err := call(cmd, &attr)
	return binary.NativeEndian.Uint32(attr[4:]), err
}

func object(f family, id uint32) (record.BPF, error) {
	var attr [attrSize]byte
	binary.NativeEndian.PutUint32(attr[:], id)
	fd, err := call(f.open, &attr)
	if err != nil {
		return record.BPF{}, err
	}
	defer unix.Close(fd)
	info := make([]byte, infoSize)
	var ids []byte
	var pin runtime.Pinner // the kernel is told addresses as numbers
	defer pin.Unpin()
	pin.Pin(&info[0])
	if f.typ == record.BPFProgram {
		first, err := describe(fd, info)
		if err != nil {
			return record.BPF{}, err
		}
		// The identifiers of its maps are asked for with room for them.
		n := min(mapCount(first), maxMaps)
		ids = make([]byte, 4*n+4)
		pin.Pin(&ids[0])
		clear(info)
		askMaps(info, n, uint64(uintptr(unsafe.Pointer(&ids[0]))))
	}
	b, err := describe(fd, info)
	if err != nil {
		return record.BPF{}, err
	}
	p := f.parse(b)
	p.ID, p.Type = id, f.typ
	if f.typ == record.BPFProgram {
		p.Maps = identifiers(ids, min(mapCount(b), maxMaps))
	}
	return p, nil
}

// describe is BPF_OBJ_GET_INFO_BY_FD; it returns as much as the kernel filled in. info
// must be pinned.
func describe(fd int, info []byte) ([]byte, error) {
	var attr [attrSize]byte
	ne := binary.NativeEndian
	ne.PutUint32(attr[:], uint32(fd))
	ne.PutUint32(attr[4:], uint32(len(info)))
	ne.PutUint64(attr[8:], uint64(uintptr(unsafe.Pointer(&info[0]))))
	_, err := call(unix.BPF_OBJ_GET_INFO_BY_FD, &attr)
	return info[:min(len(info), int(ne.Uint32(attr[4:])))], err
}

func call(cmd uintptr, attr *[attrSize]byte) (int, error) {
	r, _, e := unix.Syscall(unix.SYS_BPF, cmd, uintptr(unsafe.Pointer(attr)), attrSize)
	if e != 0 {
		return -1, e
	}
	return int(r), nil
}
