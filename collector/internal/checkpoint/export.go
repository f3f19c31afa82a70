package checkpoint

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/internal/custody/logdir"
	"hozen/internal/durable"
)

// Export writes a signed ledger into a new or empty folder, in the layout of C2SP
// tlog-tiles with the texts of the entries beside it; package logdir reads it. progress is
// optional.
func (l *Log) Export(ctx context.Context, organisationID string, s Signed, dir string, progress func(done, total int)) error {
	if err := l.export(ctx, organisationID, s, dir, progress); err != nil {
		return fmt.Errorf("export the ledger to %q: %w", dir, err)
	}
	return nil
}

func (l *Log) export(ctx context.Context, organisationID string, s Signed, dir string, progress func(done, total int)) error {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
		return errors.Join(err, errors.New("the folder is not empty"))
	}
	w := writer{dir: dir}
	err := l.cfg.DB.ReadTx(ctx, func(ctx context.Context, q sqldb.Queryer) error {
		for lo := int64(0); lo < s.Size; lo += logdir.Width {
			hi := min(lo+logdir.Width, s.Size)
			texts, err := ledger.Texts(ctx, q, organisationID, lo, hi)
			if err != nil {
				return err
			}
			if int64(len(texts)) != hi-lo {
				return fmt.Errorf("%w: entries %d to %d are not all there", ledger.ErrBroken, lo, hi-1)
			}
			if err := w.bundle(lo, texts); err != nil {
				return err
			}
			if progress != nil {
				progress(int(hi), int(s.Size))
			}
		}
		hashes := ledger.Hashes(ctx, q, organisationID)
		for _, t := range tlog.NewTiles(logdir.Height, 0, s.Size) {
			data, err := tlog.ReadTileData(t, hashes)
			if err != nil {
				return err
			}
			if err := w.file(logdir.TilePath(t.L, t.N, t.W), data); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := w.file(logdir.KeyFile, []byte(s.Key.Text(s.Origin)+"\n")); err != nil {
		return err
	}
	if err := w.file(logdir.ReadmeFile, []byte(logdir.Readme)); err != nil {
		return err
	}
	// Last: a folder without it is not finished.
	return w.file(logdir.CheckpointFile, []byte(s.Note))
}

type writer struct{ dir string }

func (w writer) file(name string, data []byte) error {
	path := filepath.Join(w.dir, filepath.FromSlash(name))
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// bundle writes the records of at most 256 entries, and their texts.
func (w writer) bundle(lo int64, texts []ledger.Text) error {
	var records, lines bytes.Buffer
	for _, t := range texts {
		record, err := hex.DecodeString(t.Record)
		if err != nil || len(record) != logdir.RecordSize {
			return fmt.Errorf("%w: entry %d has no record", ledger.ErrBroken, t.Index)
		}
		records.Write(binary.BigEndian.AppendUint16(nil, uint16(len(record))))
		records.Write(record)
		line, err := json.Marshal(logdir.Line{Index: t.Index, Salt: t.Salt, Text: t.Text})
		if err != nil {
			return err
		}
		lines.Write(append(line, '\n'))
	}
	n, width := lo/logdir.Width, len(texts)
	if err := w.file(logdir.BundlePath(n, width), records.Bytes()); err != nil {
		return err
	}
	return w.file(logdir.TextPath(n), lines.Bytes())
}
