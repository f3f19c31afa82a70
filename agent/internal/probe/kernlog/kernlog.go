package kernlog

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/procfs"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// maxLog is the most bytes that are taken; kernels keep some 256 KiB.
const maxLog = 8 << 20

// New returns the probe.
func New() probe.Probe {
	return facts.New(facts.Config{
		Kind: artifact.KindKernLog, Schema: record.SchemaKernLog, Volatility: probe.Machine, OS: "linux",
		Read: func(ctx context.Context, o *facts.Out) error {
			b, began, err := read()
			if err != nil {
				return err
			}
			o.Miss(cut(len(b), maxLog))
			return parse(ctx, b, began, func(l *record.KernelLine) error { return o.Write(l) })
		},
	})
}

// cut tells that a log which filled so much of size bytes may have had older lines: the
// kernel leaves out whole ones, of some 1 KiB at most.
func cut(filled, size int) error {
	if filled > size-4096 {
		return fmt.Errorf("the log is longer than %d bytes: its oldest lines are missing", size)
	}
	return nil
}

// parse hands on the lines of a log, "<priority>[seconds.micros] text" each. began is when
// the kernel began to count.
func parse(ctx context.Context, b []byte, began time.Time, emit func(*record.KernelLine) error) error {
	for len(b) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		var line []byte
		line, b = procfs.Line(b)
		l := record.KernelLine{Priority: -1}
		if rest, ok := bytes.CutPrefix(line, []byte("<")); ok {
			number, rest, ok := bytes.Cut(rest, []byte(">"))
			if n, is := procfs.Number(number); ok && is && n < 1<<16 {
				l.Priority, l.Facility = int(n&7), int(n>>3)
				line = rest
			}
		}
		if rest, ok := bytes.CutPrefix(line, []byte("[")); ok {
			number, rest, ok := bytes.Cut(rest, []byte("] "))
			if s, err := strconv.ParseFloat(string(bytes.TrimSpace(number)), 64); ok && err == nil && s >= 0 && s < 1<<32 {
				l.BootNS = uint64(s*1e6+0.5) * 1000
				if line = rest; !began.IsZero() {
					l.At = began.Add(time.Duration(l.BootNS))
				}
			}
		}
		l.Text, l.TextRaw = record.Text(line)
		if err := emit(&l); err != nil {
			return err
		}
	}
	return nil
}
