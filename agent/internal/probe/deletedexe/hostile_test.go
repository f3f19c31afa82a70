package deletedexe

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

// sized is a file of a user; the inode tells which.
func sized(inode uint64, uid, size int64) *file {
	return &file{uid: uid, rec: record.DeletedFile{Inode: inode, Size: size}}
}

// silent is a file that never answers.
type silent <-chan struct{}

func (s silent) Read([]byte) (int, error) { <-s; return 0, errors.New("late") }
func (silent) Close() error               { return nil }

// ends returns the last line of each file.
func ends(t *testing.T, lines [][]byte) (all []record.DeletedEnd) {
	t.Helper()
	for _, b := range lines {
		var e record.DeletedEnd
		if err := json.Unmarshal(b, &e); err != nil {
			t.Fatal(err)
		}
		if e.Part == record.PartEnd {
			all = append(all, e)
		}
	}
	return all
}

// TestFilesThatDoNotAnswer: they cost themselves, and together no more time than the rest
// needs.
func TestFilesThatDoNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		defer close(over)
		content := bytes.Repeat([]byte("x"), 2*piece+7)
		r := reader{maxFile: maxFile, maxAll: maxAll, open: func(f *file) (io.ReadCloser, error) {
			switch {
			case f.rec.Inode == 1:
				<-over // already the opening hangs
			case f.rec.Inode < 30:
				return silent(over), nil
			}
			return io.NopCloser(bytes.NewReader(content)), nil
		}}
		var files []*file
		for i := range uint64(30) {
			files = append(files, sized(i+1, 0, 10))
		}
		begun := time.Now()
		var l probetest.Lines
		err := r.write(t.Context(), &l, files, 0, nil)
		if m := probe.AsMissing(err); m == nil || m.Skipped != 29 || !strings.Contains(err.Error(), errSilent.Error()) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(begun); took > 7*time.Second {
			t.Errorf("waited %v", took)
		}
		all := ends(t, l.All)
		if len(all) != 30 || all[0].Problem == "" || all[28].Problem == "" || all[29].Problem != "" || all[29].Copied != int64(len(content)) {
			t.Errorf("%+v", all)
		}
	})
}

// TestUsersTakeTurns: many small decoys of one user keep no file of another out.
func TestUsersTakeTurns(t *testing.T) {
	r := reader{maxFile: 40, maxAll: 64, open: func(f *file) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(make([]byte, f.rec.Size))), nil
	}}
	var files []*file
	for i := range uint64(64) {
		files = append(files, sized(i, 1000, 1))
	}
	files = append(files, sized(100, 0, 2), sized(101, 0, 90))
	r.inTurn(files)
	var order []uint64
	for _, f := range files {
		order = append(order, f.rec.Inode)
	}
	if i := slices.Index(order, 100); i != 2 || order[0] != 0 || slices.Index(order, 101) < 40 {
		t.Errorf("order %v", order)
	}
	var l probetest.Lines
	if m := probe.AsMissing(r.write(t.Context(), &l, files, 0, nil)); m == nil {
		t.Error("cut without a word")
	}
	var copied int64
	for i, e := range ends(t, l.All) {
		if copied += e.Copied; order[i] == 100 && (e.Copied != 2 || e.Cut) {
			t.Errorf("%+v", e)
		}
	}
	if copied != r.maxAll {
		t.Errorf("%d bytes saved", copied)
	}
}
