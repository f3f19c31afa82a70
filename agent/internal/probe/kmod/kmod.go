package kmod

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

const (
	maxText    = 4 << 20
	maxModules = 8192
)

// New returns the probe of the system whose files are below root, usually "/".
func New(root string) probe.Probe {
	return facts.New(facts.Config{
		Kind: artifact.KindKmod, Schema: record.SchemaKmod, Volatility: probe.Machine, OS: system,
		Read: func(ctx context.Context, o *facts.Out) error { return here(ctx, root, o) },
	})
}

func read(ctx context.Context, root string, o *facts.Out) error {
	r, err := facts.In(ctx, root)
	if err != nil {
		return err
	}
	defer r.Close()
	kernel := record.KernelModule{InProc: true, InSys: true}
	if text := r.Value("proc/sys/kernel/tainted"); text != "" {
		if kernel.Taint, err = strconv.ParseUint(text, 10, 64); err != nil {
			o.Miss(fmt.Errorf("read taint: %w", err))
		}
		kernel.Tainted, kernel.Why = explain(letters(kernel.Taint))
	}
	kernel.Version = r.Value("proc/sys/kernel/osrelease")
	if err := o.Write(&kernel); err != nil {
		return err
	}
	text, err := r.File("proc/modules", maxText)
	o.Miss(err) // a kernel without modules has no such file
	list, odd := parse(text)
	if odd > 0 {
		o.Miss(fmt.Errorf("%d lines of /proc/modules not understood", odd))
	}
	names, err := r.List("sys/module", maxModules)
	o.Miss(err)
	for _, name := range names {
		// What is compiled in has a folder too where it has parameters, but no state.
		state := r.Value("sys/module/" + name + "/initstate")
		if state == "" || slices.ContainsFunc(list, func(m record.KernelModule) bool { return m.Name == name }) {
			continue
		}
		m := record.KernelModule{State: state}
		m.Name, m.NameRaw = record.TextOf(name)
		list = append(list, m)
	}
	for i := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		m := &list[i]
		if !strings.ContainsAny(m.Name, "/\x00") && m.Name != "." && m.Name != ".." {
			at := "sys/module/" + m.Name + "/"
			_, err := r.Stat(at + "initstate")
			m.InSys = err == nil
			m.Version, _ = record.TextOf(r.Value(at + "version"))
			m.Source, _ = record.TextOf(r.Value(at + "srcversion"))
			if taint := r.Value(at + "taint"); taint != "" && m.Tainted == "" {
				m.Tainted = taint
			}
		}
		m.Tainted, m.Why = explain(m.Tainted)
		if err := o.Write(m); err != nil {
			return err
		}
	}
	return nil
}
