package main

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"
)

// An accepted connection and a refused one are answers. Silence is what lasts longer, and a
// collector that stops meanwhile has heard none.
func TestWhatAnswers(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(l.Addr().String())
	if ok, err := answers(t.Context(), at); !ok || err != nil {
		t.Errorf("accepted: %v, %v", ok, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if ok, err := answers(t.Context(), at); !ok || err != nil {
		t.Errorf("refused: %v, %v", ok, err)
	}
	over, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if ok, err := answers(over, at); ok || err == nil {
		t.Errorf("stopped: %v, %v", ok, err)
	}
}
