package shared

import (
	"context"
	"fmt"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

const (
	maxTable = 4 << 20 // bytes of a table of System V IPC
	maxFiles = 8192    // of one folder and what is below it
	depth    = 3
)

// New returns the probe of the system whose files are below root, usually "/".
func New(root string) probe.Probe {
	return facts.New(facts.Config{
		Kind: artifact.KindShared, Schema: record.SchemaShared, Volatility: probe.Presence, OS: system,
		Read: func(ctx context.Context, o *facts.Out) error { return here(ctx, root, o) },
	})
}

func read(ctx context.Context, root string, o *facts.Out) error {
	r, err := facts.In(ctx, root)
	if err != nil {
		return err
	}
	defer r.Close()
	for _, typ := range []string{record.SharedMemory, record.SharedSemaphore, record.SharedQueue} {
		b, err := r.File("proc/sysvipc/"+typ, maxTable)
		o.Miss(err)
		list, odd := parse(typ, b)
		if odd > 0 {
			o.Miss(fmt.Errorf("%d lines of sysvipc/%s not understood", odd, typ))
		}
		for i := range list {
			if err := o.Write(&list[i]); err != nil {
				return err
			}
		}
	}
	for _, dir := range [][2]string{
		{record.SharedFile, "dev/shm"}, {record.SharedMQueue, "dev/mqueue"}, {record.SharedFile, "tmp"}, {record.SharedFile, "var/tmp"},
	} {
		_, err := r.Walk(dir[1], depth, maxFiles, o.Miss, func(name string) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			f, err := r.Info(name)
			if err != nil {
				o.Miss(err)
				return nil
			}
			return o.Write(&record.TempFile{Type: dir[0], FileInfo: f})
		})
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}
