package netfilter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"hozen/internal/artifact/record"
)

const (
	// maxTable is the most bytes of one table: some 50,000 rules.
	maxTable = 16 << 20
	// maxTries is how often a table is asked for that changes while it is read.
	maxTries = 4
	// getInfo and getEntries are IPT_SO_GET_INFO and IPT_SO_GET_ENTRIES, the same of IPv6.
	getInfo, getEntries = 64, 65
	entriesHead         = 40 // struct ipt_get_entries before the entries
)

// legacy reads a table of iptables that the kernel has already, so that nothing is loaded
// to answer, and hands on its chains and rules. It works on the network namespace of the
// calling thread.
func legacy(ctx context.Context, family, table string, emit func(*record.FilterObject) error) error {
	domain, level := unix.AF_INET, unix.IPPROTO_IP
	if family == "ip6" {
		domain, level = unix.AF_INET6, unix.IPPROTO_IPV6
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	for range maxTries {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := make([]byte, infoSize)
		copy(b[:tableName-1], table)
		if err := getsockopt(fd, level, getInfo, b); err != nil {
			return err
		}
		info, err := parseInfo(b)
		if err != nil {
			return err
		}
		if info.size > maxTable {
			return fmt.Errorf("its %d bytes are too many", info.size)
		}
		b = make([]byte, entriesHead+int(info.size))
		copy(b[:tableName-1], table)
		binary.NativeEndian.PutUint32(b[tableName:], info.size)
		err = getsockopt(fd, level, getEntries, b)
		if errors.Is(err, unix.EAGAIN) { // another size since
			continue
		}
		if err != nil {
			return err
		}
		return parseEntries(family, table, info, b[entriesHead:], emit)
	}
	return errChanged
}

func getsockopt(fd, level, name int, b []byte) error {
	size := uint32(len(b))
	_, _, e := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name), uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&size)), 0)
	switch {
	case e == unix.ENOENT || e == unix.ENOPROTOOPT: // gone since it was listed
		return fmt.Errorf("%w: %w", fs.ErrNotExist, e)
	case e != 0:
		return os.NewSyscallError("getsockopt", e)
	case int(size) < len(b):
		return errShort
	}
	return nil
}
