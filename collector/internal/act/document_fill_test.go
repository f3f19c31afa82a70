package act

import (
	"context"
	"errors"
	"testing"

	"hozen/collector/internal/report"
)

// While one workbook is filled, others wait, as long as somebody waits for them.
func TestOneFormAtATime(t *testing.T) {
	s := &Acts{filling: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	s.filling <- struct{}{} // somebody else's
	done := make(chan error)
	go func() {
		_, err := s.fillWorkbook(ctx, nil, nil, nil)
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("filled while another is: %v", err)
	}
	<-s.filling
	for range 2 { // the first makes room for the second, though it fails
		if _, err := s.fillWorkbook(t.Context(), nil, nil, nil); !errors.Is(err, report.ErrWorkbook) {
			t.Errorf("%v", err)
		}
	}
}
