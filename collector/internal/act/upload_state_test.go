package act_test

import (
	"context"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/record"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/digest"
	"hozen/internal/id"
)

// The page of uploads shows how far a file is while it comes in one form, which may take hours.
func TestStateOfAFileThatIsArriving(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t))
	x.uploading()
	inc, err := x.OpenIncident(t.Context(), x.owner, act.NewIncident{Title: "t"})
	ok(t, err)
	u, err := x.BeginUpload(t.Context(), x.owner, act.NewUpload{File: record.File{Source: record.Router, Person: "佐藤"}, IncidentID: inc.ID, Size: -1})
	ok(t, err)
	slow, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := x.AppendUpload(context.Background(), x.owner, u.ID, 0, slow)
		done <- err
	}()
	_, err = w.Write([]byte("hello"))
	ok(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for have := int64(0); have != 5; {
		if _, have, err = x.UploadState(ctx, x.owner, u.ID); err != nil {
			t.Fatal(err)
		}
	}
	ok(t, w.Close())
	ok(t, <-done)
}

// leaves is the context of somebody who goes away after so many looks at it.
type leaves struct {
	context.Context
	after *atomic.Int64 // the database looks from elsewhere
}

func (c leaves) gone() bool { return c.after.Add(-1) < 0 }

func (c leaves) Err() error {
	if c.gone() {
		return context.Canceled
	}
	return nil
}

func (c leaves) Done() <-chan struct{} {
	done := make(chan struct{})
	if c.gone() {
		close(done)
	}
	return done
}

// Whenever the browser goes away, the file is received, or can be received later.
func TestFinishSurvivesWhoGoesAway(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t))
	x.uploading()
	inc, err := x.OpenIncident(t.Context(), x.owner, act.NewIncident{Title: "t"})
	ok(t, err)
	begin := func(content string) record.Upload {
		u, err := x.BeginUpload(t.Context(), x.owner, act.NewUpload{File: record.File{Source: record.Router, Person: "佐藤"}, IncidentID: inc.ID, Size: int64(len(content))})
		ok(t, err)
		_, err = x.AppendUpload(t.Context(), x.owner, u.ID, 0, strings.NewReader(content))
		ok(t, err)
		return u
	}
	for k := range 200 {
		content := "file " + strconv.Itoa(k)
		u := begin(content)
		var n atomic.Int64
		n.Store(int64(k))
		_, first := x.FinishUpload(leaves{t.Context(), &n}, x.owner, u.ID)
		if _, have, err := x.UploadState(t.Context(), x.owner, u.ID); err != nil || have != int64(len(content)) {
			t.Fatalf("gone after %d (%v): %d bytes are left, %v", k, first, have, err)
		}
		u, err := x.FinishUpload(t.Context(), x.owner, u.ID)
		if err != nil || u.SHA256 != digest.Of([]byte(content)).String() {
			t.Fatalf("gone after %d (%v): %+v, %v", k, first, u, err)
		}
		if first == nil && n.Load() > 0 {
			break // it was through
		}
	}

	// The row cannot be written after the bytes were stored.
	exec := func(statement string) {
		ok(t, x.db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
			_, err := tx.ExecContext(ctx, statement)
			return err
		}))
	}
	u := begin("stored")
	exec(`CREATE TRIGGER broken BEFORE UPDATE OF received_at ON record_upload BEGIN SELECT RAISE(ABORT, 'broken'); END`)
	for range 2 {
		if _, err := x.FinishUpload(t.Context(), x.owner, u.ID); err == nil {
			t.Fatal("received without a row")
		}
		if _, have, err := x.UploadState(t.Context(), x.owner, u.ID); err != nil || have != 6 {
			t.Fatalf("%d bytes are left, %v", have, err)
		}
	}
	exec(`DROP TRIGGER broken`)
	for range 2 {
		got, err := x.FinishUpload(t.Context(), x.owner, u.ID)
		if err != nil || got.SHA256 != digest.Of([]byte("stored")).String() || got.Size != 6 || got.ReceivedAt.IsZero() {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	x.recordClean()
	x.ledgerStands()
}

// What a piece leaves that was still arriving when its file was given up goes at the next look.
func TestPartsWithoutARowGo(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t))
	f := x.uploading()
	ctx := t.Context()
	inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t"})
	ok(t, err)
	u, err := x.BeginUpload(ctx, x.owner, act.NewUpload{File: record.File{Source: record.Router, Person: "佐藤"}, IncidentID: inc.ID, Size: 9})
	ok(t, err)
	_, err = x.AppendUpload(ctx, x.owner, u.ID, 0, strings.NewReader("known"))
	ok(t, err)
	lost := id.New(id.Upload)
	_, err = f.Append(ctx, lost, 0, strings.NewReader("unknown"), -1)
	ok(t, err)
	left := func() int {
		all, err := f.Untouched(time.Now().Add(24 * time.Hour))
		ok(t, err)
		return len(all)
	}
	x.clock = time.Now() // the files have the real one
	ok(t, x.DropOldUploads(ctx))
	if left() != 2 {
		t.Error("one that may be arriving is gone")
	}
	x.clock = time.Now().Add(2 * time.Hour)
	ok(t, x.DropOldUploads(ctx))
	if n, err := f.Size(ctx, lost); err != nil || n != 0 || left() != 1 {
		t.Errorf("%d bytes are left, %d files, %v", n, left(), err)
	}
	if _, have, err := x.UploadState(ctx, x.owner, u.ID); err != nil || have != 5 {
		t.Errorf("%d bytes of the other, %v", have, err)
	}
}
