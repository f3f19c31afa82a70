package rig

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"hozen/internal/netlab"
)

func TestMain(m *testing.M) {
	PracticeMain()
	os.Exit(m.Run())
}

func TestPracticePCMovesBytes(t *testing.T) {
	if err := netlab.Available(); err != nil {
		t.Skip(err)
	}
	n := NewNursery()
	defer n.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	pc, err := n.NewPracticePC(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	families := []int{4}
	if pc.HasIPv6() {
		families = append(families, 6)
	}
	for _, family := range families {
		err := Until(ctx, "bytes", func() (bool, error) { return pc.Moved(family) > 2048, nil })
		if err != nil {
			t.Errorf("IPv%d: %v", family, err)
		}
	}
}

func TestUntilNoticesAProgramThatEnds(t *testing.T) {
	n := NewNursery()
	defer n.Close()
	log := t.TempDir() + "/log"
	p, err := n.Start(Spec{Path: os.Args[0], Args: []string{"127.0.0.1:bad"}, Env: []string{practiceVar + "=listen"}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := Until(ctx, "a miracle", func() (bool, error) { return false, nil }, p); err == nil || ctx.Err() != nil {
		t.Errorf("Until = %v, want the end of the program", err)
	}
	if p.ExitCode() != 1 {
		t.Errorf("exit code %d, want 1", p.ExitCode())
	}
}

func TestPostgresStarts(t *testing.T) {
	n := NewNursery()
	defer n.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, dir, err := n.Postgres(ctx)
	if errors.Is(err, ErrNoPostgres) {
		t.Skip(err)
	}
	if dir != "" {
		t.Cleanup(func() { os.RemoveAll(dir) })
	}
	if err != nil {
		t.Fatal(err)
	}
}
