package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestTheCompanionWaitsAsLongAsItIsWorth: without an incident an agent that hangs costs
// little, with one it may take what it is allowed; and all of it ends before the unit is
// killed.
func TestTheCompanionWaitsAsLongAsItIsWorth(t *testing.T) {
	state := t.TempDir()
	c := newCommand("shutdown-capture", func(string) string { return "" }, stdio{nil, t.Output(), t.Output()})
	c.state, c.config = state, state+"/none.toml"
	log := newLog(t.Output(), 0, false)
	if p := c.patience(t.Context(), log); p.agent > 2*time.Second || p.alone > 5*time.Second {
		t.Errorf("no incident: %+v", p)
	}
	word, err := openAttention(state, log)
	must(t, err)
	word.is = attentionRecord{attentionFormat, true, "INC-2026-0001"}
	word.keep()
	if p := c.patience(t.Context(), log); p.agent != 25*time.Second { // 20 s by default
		t.Errorf("with an incident: %+v", p)
	}
	const unit = 60 * time.Second
	if p := patienceFor(true, 40*time.Second); 2*systemdLimit+p.agent+p.alone >= unit {
		t.Errorf("at most: %+v", p)
	}
}

// TestADiskThatDoesNotAnswer: the time is over all the same.
func TestADiskThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, stuck := time.Now(), make(chan struct{})
		_, err := within(t.Context(), patienceFor(false, 0).alone, func(context.Context) (int, error) {
			<-stuck
			return 0, nil
		})
		if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) || took > 5*time.Second {
			t.Errorf("%v after %s", err, took)
		}
		close(stuck)
		if n, err := within(t.Context(), time.Second, func(context.Context) (int, error) { return 7, nil }); n != 7 || err != nil {
			t.Error(n, err)
		}
	})
}
