package agentapi_test

import (
	"context"
	"testing"
	"time"
)

func TestHelloTellsHowFarTheCommandsWere(t *testing.T) {
	r := newRig(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := r.dial(t, time.Now()).Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	h := hello()
	h.GetHello().CommandCounter = 9
	if err := s.Send(h); err != nil {
		t.Fatal(err)
	}
	if m, err := s.Recv(); err != nil || m.GetWelcome() == nil {
		t.Fatalf("%v %v", m, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reached != 9 {
		t.Errorf("%d was heard", r.reached)
	}
}
