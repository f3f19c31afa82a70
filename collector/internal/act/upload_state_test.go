package act_test

import (
	"context"
	"io"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/record"
	"hozen/collector/internal/sqldb/sqldbtest"
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
