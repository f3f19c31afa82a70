package keyring

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/procfs"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

const maxText = 4 << 20

// New returns the probe of the system whose files are below root, usually "/".
func New(root string) probe.Probe {
	return facts.New(facts.Config{
		Kind: artifact.KindKeyring, Schema: record.SchemaKeyring, Volatility: probe.Presence, OS: "linux",
		Read: func(ctx context.Context, o *facts.Out) error {
			r, err := facts.In(ctx, root)
			if err != nil {
				return err
			}
			defer r.Close()
			b, err := r.File("proc/keys", maxText)
			if err != nil && len(b) == 0 {
				return fmt.Errorf("read keys: %w", err)
			}
			o.Miss(err)
			list, odd := parse(b)
			if odd > 0 {
				o.Miss(fmt.Errorf("%d lines of /proc/keys not understood", odd))
			}
			for i := range list {
				if err := o.Write(&list[i]); err != nil {
					return err
				}
			}
			return ctx.Err()
		},
	})
}

// parse reads /proc/keys: id, flags, usage, expiry, permissions, owner, group, type, and
// the description up to the end of the line.
func parse(b []byte) (list []record.Key, odd int) {
	for line := range procfs.Lines(b) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var w [8][]byte
		rest := line
		for i := range w {
			w[i], rest = procfs.Word(rest)
		}
		usage, err := strconv.Atoi(text(w[2]))
		uid, err2 := strconv.ParseInt(text(w[5]), 10, 64)
		gid, err3 := strconv.ParseInt(text(w[6]), 10, 64)
		if err != nil || err2 != nil || err3 != nil || len(w[7]) == 0 {
			odd++
			continue
		}
		k := record.Key{ID: text(w[0]), Flags: text(w[1]), Usage: usage, Expires: text(w[3]), Perm: text(w[4]), UID: uid, GID: gid, Type: text(w[7])}
		k.Description, k.DescriptionRaw = record.Text(bytes.TrimSpace(rest))
		list = append(list, k)
	}
	return list, odd
}

func text(b []byte) string {
	s, _ := record.Text(b)
	return s
}
