package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/identity"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/memory"
	"hozen/agent/internal/spool"
	artifacts "hozen/internal/artifact"
)

const (
	// memoryBar is the most that the agent may have resident during any profile, in MB.
	memoryBar = 60
	// shown is how much the file that plays /proc/kcore holds; it is shown again and again.
	shown = 64 << 20
	// front is the room for its headers.
	front = 1 << 20
)

// imageOfMemory takes an image of a PC's memory, which a file plays, as the agent does it
// from the reading to the signed manifest, and measures what that takes.
func imageOfMemory(quick bool) error {
	size := int64(1 << 30)
	if quick {
		size = 256 << 20
	}
	dir, err := os.MkdirTemp("", "hozen-memory-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := playMemory(dir, size); err != nil {
		return fmt.Errorf("play memory: %w", err)
	}
	ram := memory.New(dir)
	plan := acquire.Plan{Profile: "memory", Gentle: true, Memory: 40e6}
	for _, p := range []probe.Probe{ram.Image(), ram.Ranges()} {
		plan.Probes = append(plan.Probes, acquire.Planned{New: func() probe.Probe { return p }, Budget: time.Hour})
	}
	signer, err := identity.NewOneTime()
	if err != nil {
		return err
	}
	r := acquire.NewRunner(acquire.Config{
		Sink: &spool.Folder{Dir: filepath.Join(dir, "out")}, Plan: func(string) (acquire.Plan, error) { return plan, nil },
		Identity: func() (acquire.Identity, error) { return acquire.Identity{Signer: signer}, nil },
	})
	res, err := r.Run(context.Background(), acquire.Order{Trigger: artifacts.TriggerManual, Profile: plan.Profile})
	if err != nil {
		return err
	}
	if p := res.Manifest.Probes[0]; p.Outcome != artifacts.Complete || res.Manifest.Artifacts[0].Plain.Size < size {
		return fmt.Errorf("the image is %s: %s", p.Outcome, p.Detail)
	}
	peak, err := peakMemory()
	if err != nil {
		return err
	}
	took := time.Duration(res.Manifest.Probes[0].DurationNS)
	return errors.Join(
		print("capture.memory.rss", float64(peak)/1e6, "MB", fmt.Sprintf("<=%d", memoryBar)),
		print("capture.memory.rate", float64(size)/1e6/took.Seconds(), "MB/s", ""),
	)
}

// playMemory makes the files of a PC with so much memory: half of it unused, a quarter
// text, a quarter nothing that can be compressed.
func playMemory(root string, size int64) error {
	if err := os.MkdirAll(filepath.Join(root, "proc"), 0o700); err != nil {
		return err
	}
	iomem := fmt.Sprintf("100000000-%x : System RAM\n", 0x100000000+size-1)
	if err := os.WriteFile(filepath.Join(root, "proc/iomem"), []byte(iomem), 0o600); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(root, "proc/kcore"))
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, front)
	le := binary.LittleEndian
	head := make([]byte, front)
	copy(head, "\x7fELF\x02\x01\x01")
	le.PutUint64(head[32:], 64)
	le.PutUint16(head[54:], 56)
	le.PutUint16(head[56:], uint16(size/shown))
	for i := range size / shown {
		p := head[64+56*i:]
		le.PutUint32(p, 1)
		le.PutUint64(p[8:], front)
		le.PutUint64(p[24:], uint64(0x100000000+i*shown))
		le.PutUint64(p[32:], shown)
	}
	_, err = w.Write(head)
	text := []byte(strings.Repeat("the quick brown fox jumps over the lazy dog ", 100)[:4096])
	random := rand.NewChaCha8([32]byte{})
	page := make([]byte, 4096)
	for i := 0; err == nil && i < shown/len(page); i++ {
		switch i % 4 {
		case 0:
			copy(page, text[i%40:])
		case 1:
			_, _ = random.Read(page) // it never fails
		default:
			clear(page)
		}
		_, err = w.Write(page)
	}
	return errors.Join(err, w.Flush(), f.Close())
}

// peakMemory is the most that this process had resident, in bytes.
func peakMemory() (int64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("read peak memory: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New("read peak memory: /proc/self/status has no VmHWM")
}
