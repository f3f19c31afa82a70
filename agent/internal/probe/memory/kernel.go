package memory

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

const (
	maxFile     = 64 << 20 // bytes of a file of the kernel
	maxAttr     = 64 << 10
	buildIDType = 3 // NT_GNU_BUILD_ID
)

// NewKernel returns the probe that says which kernel runs below root, usually "/".
func NewKernel(root string) probe.Probe {
	return facts.New(facts.Config{
		Kind: artifact.KindKernel, Schema: record.SchemaKernel, Volatility: probe.Derivable, OS: "linux",
		Read: func(_ context.Context, o *facts.Out) error { return readKernel(root, o) },
	})
}

func readKernel(root string, o *facts.Out) error {
	r, err := facts.Open(root)
	if err != nil {
		return err
	}
	defer r.Close()
	proc := openerOf(root)
	banner, err := proc.file(r, "version", maxAttr)
	if err != nil {
		return err
	}
	k := record.Kernel{Release: release(r), Arch: runtime.GOARCH, PageSize: os.Getpagesize(), Lockdown: lockdown(r.Value("sys/kernel/security/lockdown"))}
	k.Banner, _ = record.TextOf(strings.TrimSpace(string(banner)))
	k.KptrRestrict, _ = record.TextOf(r.Value("proc/sys/kernel/kptr_restrict"))
	if notes, err := r.File("sys/kernel/notes", maxAttr); err == nil {
		k.BuildID = hex.EncodeToString(note(notes, "GNU", buildIDType))
	}
	if text, err := proc.file(r, "iomem", maxIomem); err == nil {
		ram, _ := parseIomem(text, uint64(os.Getpagesize()))
		k.SystemRAM = total(ram)
	}
	if f, err := proc(r, "kcore"); err == nil {
		_, info, _ := readCore(f) // that memory cannot be read is told by its own probe
		k.VMCoreInfo, _ = record.TextOf(info)
		_ = f.Close() // nothing was written
	}
	for _, kind := range []artifact.Kind{artifact.KindBTF, artifact.KindKallsyms, artifact.KindKconfig, artifact.KindSystemMap} {
		if name := find(r, kind, k.Release); name != "" {
			k.Files = append(k.Files, "/"+name)
		}
	}
	return o.Write(&k)
}

// release returns the kernel's release, fit for the name of a file, or nothing.
func release(r facts.Root) string {
	s, raw := record.TextOf(r.Value("proc/sys/kernel/osrelease"))
	if raw != nil || strings.ContainsAny(s, "/\x00") || len(s) > 128 {
		return ""
	}
	return s
}

// places returns where a file of the kernel may lie, the best first.
func places(kind artifact.Kind, release string) []string {
	switch kind {
	case artifact.KindBTF:
		return []string{"sys/kernel/btf/vmlinux"}
	case artifact.KindKallsyms:
		return []string{"proc/kallsyms"}
	case artifact.KindSystemMap:
		return []string{"boot/System.map-" + release, "usr/lib/modules/" + release + "/System.map"}
	case artifact.KindKconfig:
		return []string{"boot/config-" + release, "usr/lib/modules/" + release + "/config", "proc/config.gz"}
	}
	return nil
}

// find returns the first place with a regular file, or nothing.
func find(r facts.Root, kind artifact.Kind, release string) string {
	for _, name := range places(kind, release) {
		if st, err := r.Stat(name); err == nil && st.Mode().IsRegular() {
			return name
		}
	}
	return ""
}

// NewFile returns the probe that copies a file of the kernel: of the kinds kallsyms, btf,
// systemmap and kconfig.
func NewFile(root string, kind artifact.Kind) probe.Probe { return file{root, kind} }

type file struct {
	root string
	kind artifact.Kind
}

func (f file) Kind() artifact.Kind        { return f.kind }
func (file) Volatility() probe.Volatility { return probe.Derivable }

func (f file) Schema() string {
	switch f.kind {
	case artifact.KindKallsyms:
		return record.SchemaKallsyms
	case artifact.KindBTF:
		return record.SchemaBTF
	case artifact.KindSystemMap:
		return record.SchemaSystemMap
	}
	return record.SchemaKconfig
}

// Acquire copies the file; there may be none.
func (f file) Acquire(ctx context.Context, w probe.Writer) error {
	raw, ok := w.(probe.RawWriter)
	if !ok {
		return errors.New("copy a file of the kernel: the writer takes lines only")
	}
	if runtime.GOOS != "linux" {
		return errors.ErrUnsupported
	}
	r, err := facts.Open(f.root)
	if err != nil {
		return err
	}
	defer r.Close()
	name := find(r, f.kind, release(r))
	if name == "" {
		return nil
	}
	src, err := open(f.root, r, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // just removed
	}
	if err != nil {
		return fmt.Errorf("copy a file of the kernel: %w", err)
	}
	defer src.Close()
	buf := make([]byte, 128<<10)
	for left := int64(maxFile); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := src.Read(buf[:min(int64(len(buf)), left+1)])
		if int64(n) > left {
			return &probe.Missing{Skipped: 1, Err: fmt.Errorf("/%s is longer than %d bytes", name, maxFile)}
		}
		if f.kind == artifact.KindKallsyms && left == maxFile && nameless(buf[:n]) {
			return &refused{"the kernel hides the addresses of its symbols (kernel.kptr_restrict)"}
		}
		if n > 0 {
			if err := raw.WriteRaw(buf[:n]); err != nil {
				return err
			}
		}
		left -= int64(n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("copy a file of the kernel: %w", err)
		}
	}
}

// open opens a file of the kernel without waiting for a pipe.
func open(root string, r facts.Root, name string) (*os.File, error) {
	if inProc, ok := strings.CutPrefix(name, "proc/"); ok {
		return openerOf(root)(r, inProc)
	}
	f, err := r.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("/%s is not a regular file", name), err, f.Close())
	}
	return f, nil
}

// nameless reports whether the symbols at the beginning of /proc/kallsyms have no
// addresses: all are zero to who may not know them. The first few of some kernels are
// offsets from zero, so one is not enough.
func nameless(b []byte) bool {
	some := false
	for {
		line, rest, ok := bytes.Cut(b, []byte{'\n'})
		if !ok { // the last one may be cut off
			return some
		}
		if addr, _, ok := bytes.Cut(line, []byte{' '}); ok && len(bytes.Trim(addr, "0")) > 0 {
			return false
		}
		b, some = rest, true
	}
}
