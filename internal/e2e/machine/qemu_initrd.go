package machine

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// initScript is the first program of a virtual machine: it mounts the disk, copies
// what was put there since the last boot onto it, and hands over.
const initScript = `#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs dev /dev
for m in $($b cat /modules/order); do $b insmod /modules/$m; done
$b mount -t ext4 /dev/vda /new || $b poweroff -f
if [ -b /dev/vdb ]; then $b tar -x -f /dev/vdb -C /new; $b sync; fi
$b umount /proc /sys
exec $b switch_root /new /sbin/init
`

// needed are the modules without which the disk and the channel cannot be reached.
func needed() []string { return []string{"virtio_pci", "virtio_blk", "virtio_console"} }

// initrd makes the initial RAM disk for the kernel and the busybox of a root.
func initrd(root string) ([]byte, error) {
	dirs, err := filepath.Glob(filepath.Join(root, "usr/lib/modules/*"))
	if err != nil || len(dirs) != 1 {
		return nil, fmt.Errorf("%d folders of modules, want one", len(dirs))
	}
	deps, err := os.ReadFile(filepath.Join(dirs[0], "modules.dep"))
	if err != nil {
		return nil, err
	}
	builtin, err := os.ReadFile(filepath.Join(dirs[0], "modules.builtin"))
	if err != nil {
		return nil, err
	}
	order, err := loadOrder(string(deps), string(builtin), needed())
	if err != nil {
		return nil, err
	}
	busybox, err := os.ReadFile(filepath.Join(root, "bin/busybox"))
	if err != nil {
		return nil, err
	}
	a := newArchive()
	for _, d := range []string{"bin", "modules", "new", "proc", "sys", "dev"} {
		a.add(d, modeDir|0o755, nil)
	}
	a.add("init", modeFile|0o755, []byte(initScript))
	a.add("bin/busybox", modeFile|0o755, busybox)
	names := ""
	for _, path := range order {
		b, err := os.ReadFile(filepath.Join(dirs[0], path))
		if err != nil {
			return nil, err
		}
		a.add("modules/"+filepath.Base(path), modeFile|0o644, b)
		names += filepath.Base(path) + "\n"
	}
	a.add("modules/order", modeFile|0o644, []byte(names))
	return a.close()
}

// loadOrder reads modules.dep (depmod(8)) and returns the files of some modules with
// all that they need, in an order in which they can be loaded. Those that are built into
// the kernel stand in modules.builtin (kbuild.txt) instead and need not be loaded.
func loadOrder(deps, builtin string, names []string) ([]string, error) {
	needs, file := map[string][]string{}, map[string]string{}
	for line := range strings.Lines(deps) {
		path, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			continue
		}
		needs[path] = strings.Fields(rest)
		file[moduleName(path)] = path
	}
	inside := map[string]bool{}
	for path := range strings.FieldsSeq(builtin) {
		inside[moduleName(path)] = true
	}
	var order []string
	seen := map[string]bool{}
	for _, n := range names {
		if inside[n] {
			continue
		}
		path, ok := file[n]
		if !ok {
			return nil, fmt.Errorf("the kernel has no module %s", n)
		}
		// depmod lists what is needed deepest last.
		list := append([]string{path}, needs[path]...)
		for i := len(list) - 1; i >= 0; i-- {
			if !seen[list[i]] {
				seen[list[i]] = true
				order = append(order, list[i])
			}
		}
	}
	return order, nil
}

func moduleName(path string) string { return strings.TrimSuffix(filepath.Base(path), ".ko") }

// File types of stat(2), as an archive has them.
const (
	modeDir  = 0o040000
	modeFile = 0o100000
)

// archive writes a "newc" archive as the kernel unpacks it
// (Documentation/driver-api/early-userspace/buffer-format.rst).
type archive struct {
	buf  bytes.Buffer
	zip  *gzip.Writer
	size int
	next int // inode number
}

func newArchive() *archive {
	a := &archive{}
	a.zip, _ = gzip.NewWriterLevel(&a.buf, gzip.BestSpeed) // a level that there is
	return a
}

func (a *archive) add(name string, mode uint32, content []byte) {
	a.next++
	links := 1
	h := fmt.Sprintf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		a.next, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(name)+1, 0)
	a.write([]byte(h + name + "\x00"))
	a.write(content)
}

// write pads to four bytes.
func (a *archive) write(b []byte) {
	_, _ = a.zip.Write(b) // a bytes.Buffer takes all
	a.size += len(b)
	if n := -a.size & 3; n > 0 {
		_, _ = a.zip.Write(make([]byte, n))
		a.size += n
	}
}

func (a *archive) close() ([]byte, error) {
	a.add("TRAILER!!!", 0, nil)
	if err := a.zip.Close(); err != nil {
		return nil, err
	}
	return a.buf.Bytes(), nil
}
