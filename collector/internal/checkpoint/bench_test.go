package checkpoint_test

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/secret"
	"hozen/collector/internal/sqldb"
	"hozen/internal/id"
)

// BenchmarkAppend appends entries durably, each in an act of its own, from as many
// places at once as one commit carries, while the ledger is signed as it is in a
// running collector.
func BenchmarkAppend(b *testing.B) {
	dir := b.TempDir()
	db, err := sqldb.Open(b.Context(), sqldb.Config{URL: "sqlite://" + filepath.Join(dir, "hozen.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	secrets, err := secret.Passing()
	if err != nil {
		b.Fatal(err)
	}
	ledger.NewKey(secrets).Bind(db)
	l, err := checkpoint.Open(b.Context(), checkpoint.Config{DB: db, KeyFile: filepath.Join(dir, "key.pem"), Dir: filepath.Join(dir, "ledger"), Name: "hozen-custody/0123456789abcdef"})
	if err != nil {
		b.Fatal(err)
	}
	org := id.New(id.Organisation)
	ctx, stop := context.WithCancel(b.Context())
	signing := make(chan struct{})
	go func() {
		defer close(signing)
		l.Run(ctx, func(context.Context, checkpoint.Difference) error { return nil })
	}()
	var failed atomic.Pointer[error]
	b.SetParallelism(128)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			e := ledger.Entry{OrganisationID: org, At: time.Now(), ActorKind: "endpoint", ActorID: "end_1", ActorName: "pc", Act: "evidence.number", Subject: "evd_1",
				Details: map[string]string{"number": "INC-2026-0001-E01", "stored_sha256": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}}
			if err := db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
				_, err := ledger.Append(ctx, tx, e)
				return err
			}); err != nil {
				failed.Store(&err)
				return
			}
		}
	})
	b.StopTimer()
	stop()
	<-signing
	if err := failed.Load(); err != nil {
		b.Fatal(*err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
