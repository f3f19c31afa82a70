package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/netconn"
	"hozen/agent/internal/probe/openfile"
	"hozen/agent/internal/probe/process"
	"hozen/agent/internal/probe/scan"
	"hozen/internal/artifact/record"
)

const (
	workers      = 2
	captureBar   = 2.0
	agreementBar = 0.10
	sizeBar      = 250_000
)

// artifact is the lines of one probe, in memory.
type artifact struct {
	lines []byte
	count int
}

// Write implements probe.Writer.
func (a *artifact) Write(r probe.Record) error {
	a.lines = append(r.AppendJSON(a.lines), '\n')
	a.count++
	return nil
}

// capture is one flash capture up to its lines: processes, sockets, descriptors.
func capture(ctx context.Context, out *[3]artifact) error {
	pass := scan.New(scan.Options{Workers: workers})
	for i, p := range [...]probe.Probe{process.New(pass), netconn.New(pass), openfile.New(pass)} {
		out[i].lines, out[i].count = out[i].lines[:0], 0
		if err := p.Acquire(ctx, &out[i]); err != nil {
			return fmt.Errorf("acquire %s: %w", p.Kind(), err)
		}
	}
	return nil
}

// countSockets prints how many TCP sockets a capture finds in a namespace that has
// exactly listening + 2 × connections of them.
func countSockets(listening, connections int) error {
	fds, err := tcpSockets(listening, connections)
	if err != nil {
		return fmt.Errorf("make sockets: %w", err)
	}
	var out [3]artifact
	if err := capture(context.Background(), &out); err != nil {
		return err
	}
	n, _, err := tcpRows(&out[1])
	if err != nil {
		return err
	}
	return print(fmt.Sprintf("capture.sockets.%d", len(fds)), float64(n), "rows", fmt.Sprintf("=%d", len(fds)))
}

// tcpRows counts the different TCP sockets of an artifact and those that somebody holds.
func tcpRows(a *artifact) (rows, owned int, err error) {
	seen := make(map[uint64]bool)
	for line := range bytes.Lines(a.lines) {
		var s record.Socket
		if err := json.Unmarshal(line, &s); err != nil {
			return 0, 0, fmt.Errorf("read back a line: %w", err)
		}
		if s.Proto != record.ProtoTCP {
			continue
		}
		if seen[s.Inode] {
			return 0, 0, fmt.Errorf("socket %d stands in two rows", s.Inode)
		}
		seen[s.Inode] = true
		if len(s.Owners) > 0 {
			owned++
		}
	}
	return len(seen), owned, nil
}

// busyServer prints the figures of the big scene.
func busyServer(quick bool, agent string) error {
	dir, err := os.MkdirTemp("", "probebench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount the scene's folder: %w", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	if err := buildScene(dir); err != nil {
		return fmt.Errorf("build scene: %w", err)
	}
	rounds := 41
	if quick {
		rounds = 11
	}
	var out [3]artifact
	read := newLimit(workers, false)
	times, err := interleaved(rounds, func() error { read.read(); return nil }, func() error { return capture(context.Background(), &out) })
	if err != nil {
		return err
	}
	if err := check(&out); err != nil {
		return err
	}
	ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
	bare, whole := median(times[0]), median(times[1])
	ratios := make([]float64, rounds) // of each round, so that a change of the machine's speed falls on both
	for i := range ratios {
		ratios[i] = float64(times[1][i]) / float64(times[0][i])
	}
	slices.Sort(ratios)
	if err := errors.Join(
		print("capture.fast.1000p5000s", ratios[rounds/2], "ratio", fmt.Sprintf("<=%g", captureBar)),
		print("capture.fast.1000p5000s.ms", ms(whole), "ms", ""),
		print("capture.limit.1000p5000s.ms", ms(bare), "ms", ""),
	); err != nil {
		return err
	}
	rows, owned, err := tcpRows(&out[1])
	if err != nil {
		return err
	}
	if owned != rows {
		return fmt.Errorf("%d of %d sockets have no owner", rows-owned, rows)
	}
	size, err := packed(&out)
	if err != nil {
		return err
	}
	return errors.Join(
		print("capture.sockets.5000", float64(rows), "rows", fmt.Sprintf("=%d", sceneProcs*sceneSockets)),
		print("capture.size.1000p5000s", float64(size), "bytes", fmt.Sprintf("<=%d", sizeBar)),
		agreement(),
		volatile(quick), wholeProfile(agent, dir),
	)
}

// check refuses to give figures of a capture that is not whole.
func check(out *[3]artifact) error {
	const self = 1 // this program
	fds := bytes.Count(out[2].lines, []byte(`{"fd":`))
	if out[0].count != sceneProcs+self || out[2].count != sceneProcs+self || fds < sceneProcs*(scenePlain+sceneSockets) {
		return fmt.Errorf("capture has %d processes, %d lists of files, %d descriptors", out[0].count, out[2].count, fds)
	}
	return nil
}

// interleaved times a and b in turns, in changing order, each on a clean heap.
func interleaved(rounds int, a, b func() error) (times [2][]time.Duration, err error) {
	do := [2]func() error{a, b}
	for i := range rounds + 2 {
		for k := range do {
			k = (k + i) % 2
			runtime.GC()
			from := time.Now()
			if err := do[k](); err != nil {
				return times, err
			}
			if d := time.Since(from); i >= 2 { // the first two rounds fill buffers and caches
				times[k] = append(times[k], d)
			}
		}
	}
	return times, nil
}

func median(d []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(d))
	return s[len(s)/2]
}

// packed returns the size of the three artifacts as the agent stores them.
func packed(out *[3]artifact) (int, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return 0, err
	}
	size := 0
	for i := range out {
		var b bytes.Buffer
		enc.Reset(&b)
		if _, err := enc.Write(out[i].lines); err != nil {
			return 0, err
		}
		if err := enc.Close(); err != nil {
			return 0, err
		}
		size += b.Len()
	}
	return size, nil
}

// agreement compares the limit reader with a foreign one: how far their medians are
// apart, as a share.
func agreement() error {
	const name = "capture.limit.agreement"
	foreign := os.Getenv("HOZEN_SNAPLIMIT")
	if foreign == "" {
		fmt.Fprintln(os.Stderr, "probebench: "+name+": not compared, HOZEN_SNAPLIMIT names no program")
		return print(name, 0, "not compared", "")
	}
	const turns, passes = 7, 15 // many short turns, because a machine's speed drifts
	read := newLimit(workers, true)
	var own, other []time.Duration
	for range turns {
		runtime.GC()
		for range passes {
			from := time.Now()
			read.read()
			own = append(own, time.Since(from))
		}
		total, err := runForeign(foreign, passes)
		if err != nil {
			return fmt.Errorf("run %s: %w", foreign, err)
		}
		other = append(other, total)
	}
	a, b := median(own), median(other)
	fmt.Fprintf(os.Stderr, "probebench: %s: limit reader %v, %s %v\n", name, a, foreign, b)
	return print(name, math.Abs(float64(a)/float64(b)-1), "share", fmt.Sprintf("<=%g", agreementBar))
}

// runForeign returns the median of the foreign program's passes.
func runForeign(path string, passes int) (time.Duration, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	p, err := os.StartProcess(path, []string{path, "-t", fmt.Sprint(workers), "-fds", "-socks", "-n", fmt.Sprint(passes)},
		&os.ProcAttr{Env: os.Environ(), Files: []*os.File{nil, w, os.Stderr}})
	w.Close()
	if err != nil {
		return 0, err
	}
	out, err := io.ReadAll(r)
	if _, werr := p.Wait(); err == nil {
		err = werr
	}
	if err != nil {
		return 0, err
	}
	line, _, _ := bytes.Cut(out, []byte("} ")) // a JSON object and words behind it
	var res struct{ Total float64 }
	if err := json.Unmarshal(append(line, '}'), &res); err != nil {
		return 0, fmt.Errorf("read its output: %w", err)
	}
	return time.Duration(res.Total * 1e6), nil
}
