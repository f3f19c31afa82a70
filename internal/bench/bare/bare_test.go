package bare

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestOrdersAreAcknowledgedWhileUploading(t *testing.T) {
	dir := t.TempDir()
	s, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const size = 1<<20 + 7
	file := filepath.Join(dir, "evidence")
	if err := os.WriteFile(file, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- Client(ctx, dir, []string{file}) }()
	if err := s.Connected(ctx); err != nil {
		t.Fatal(err)
	}
	took, err := s.Order(ctx, 20, 0)
	if err != nil || len(took) != 20 {
		t.Fatalf("Order = %d acknowledgements, %v; want 20", len(took), err)
	}
	if u := <-s.Uploads(); u.Bytes != size {
		t.Errorf("upload of %d bytes, want %d", u.Bytes, size)
	}
	cancel()
	<-ended
}
