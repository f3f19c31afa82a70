package localapi

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// power is a stand-in.
type power struct {
	got  PreserveOrder
	fail error
	asks string
	down int

	ending string
	endsBy Peer
}

func (p *power) Gate(ctx context.Context) Gate {
	p.asks = UID(ctx)
	return Gate{Processes: 120, Sessions: -1, Losses: []string{"memory"}}
}

func (p *power) Preserve(_ context.Context, o PreserveOrder, tell func(Preserve)) error {
	p.got = o
	if p.fail != nil {
		return p.fail
	}
	tell(Preserve{Step: StepSealed, AcquisitionID: "acq_x"})
	tell(Preserve{Step: StepGoingDown, AcquisitionID: "acq_x"})
	return nil
}

func (p *power) GoingDown(context.Context) error { p.down++; return nil }

func (p *power) SessionEnds(_ context.Context, by Peer, ending string) error {
	p.ending, p.endsBy = ending, by
	return p.fail
}

func TestPreserve(t *testing.T) {
	p := &power{}
	path := serveWith(t, Config{Agent: &agent{}, Power: p})
	var steps []string
	last, err := Do(t.Context(), path, Request{Verb: VerbPreserve, Message: "脅迫文", Then: ThenPowerOff, Shown: []string{"memory"}, WaitSeconds: 5},
		func(r Reply) { steps = append(steps, r.Preserve.Step) })
	if err != nil || last.Preserve.Step != StepGoingDown || strings.Join(steps, " ") != "sealed going_down" {
		t.Fatalf("%+v %v %v", last, steps, err)
	}
	if p.got.UID != ownUID(t) || p.got.Reason != "脅迫文" || p.got.Then != ThenPowerOff || p.got.Shown[0] != "memory" || p.got.DecidedBy == "" {
		t.Fatalf("%+v", p.got)
	}
	p.fail = fmt.Errorf("x: %w", ErrDenied)
	last, err = Do(t.Context(), path, Request{Verb: VerbPreserve, Then: ThenNothing}, nil)
	if !errors.Is(err, ErrRefused) || last.Code != CodeDenied {
		t.Fatalf("%+v %v", last, err)
	}
}

func TestGateKnowsWhoAsks(t *testing.T) {
	p := &power{}
	path := serveWith(t, Config{Agent: &agent{}, Power: p})
	last, err := Do(t.Context(), path, Request{Verb: VerbGate}, nil)
	if err != nil || last.Gate == nil || last.Gate.Processes != 120 || last.Gate.Sessions != -1 || p.asks != ownUID(t) {
		t.Fatalf("%+v %v %q", last, err, p.asks)
	}
}

func TestShutdownIsRootsAlone(t *testing.T) {
	p := &power{}
	path := serveWith(t, Config{Agent: &agent{}, Power: p})
	last, err := Do(t.Context(), path, Request{Verb: VerbShutdown}, nil)
	if ownUID(t) == rootUser {
		if err != nil || p.down != 1 {
			t.Fatalf("%+v %v", last, err)
		}
	} else if last.Code != CodeDenied || p.down != 0 {
		t.Fatalf("%+v %v", last, err)
	}
}

func TestSessionEnds(t *testing.T) {
	p := &power{}
	path := serveWith(t, Config{Agent: &agent{}, Power: p})
	if last, err := Do(t.Context(), path, Request{Verb: VerbSession, Ending: EndingLogoff}, nil); err != nil || !last.Done || p.ending != EndingLogoff || p.endsBy.PID != os.Getpid() {
		t.Fatalf("%+v %v %q %+v", last, err, p.ending, p.endsBy)
	}
	p.fail = fmt.Errorf("x: %w", ErrDenied)
	if last, err := Do(t.Context(), path, Request{Verb: VerbSession, Ending: EndingDown}, nil); !errors.Is(err, ErrRefused) || last.Code != CodeDenied {
		t.Fatalf("%+v %v", last, err)
	}
}

func TestWithoutPower(t *testing.T) {
	path := serveWith(t, Config{Agent: &agent{}})
	if last, err := Do(t.Context(), path, Request{Verb: VerbGate}, nil); last.Code != CodeInvalid {
		t.Fatalf("%+v %v", last, err)
	}
}

func TestPreserveIsReadStrictly(t *testing.T) {
	for name, line := range map[string]string{
		"then missing":    `{"verb":"preserve"}`,
		"then unknown":    `{"verb":"preserve","then":"explode","message":"x"}`,
		"reason missing":  `{"verb":"preserve","then":"power_off"}`,
		"shown not codes": `{"verb":"preserve","then":"nothing","shown":["<b>"]}`,
		"shown too many":  `{"verb":"preserve","then":"nothing","shown":[` + strings.Repeat(`"a",`, 16) + `"a"]}`,
		"then with other": `{"verb":"status","then":"reboot"}`,
		"gate with text":  `{"verb":"gate","message":"x"}`,
		"session alone":   `{"verb":"session"}`,
		"session unknown": `{"verb":"session","ending":"explode"}`,
		"ending of other": `{"verb":"status","ending":"down"}`,
		"shutdown waits":  `{"verb":"shutdown","wait_seconds":3}`,
	} {
		if r, err := parseRequest([]byte(line)); err == nil {
			t.Errorf("%s: read as %+v", name, r)
		}
	}
}

func TestTooSoon(t *testing.T) {
	path := serveWith(t, Config{Agent: &agent{}, Power: &power{fail: fmt.Errorf("x: %w", ErrTooMany)}})
	last, err := Do(t.Context(), path, Request{Verb: VerbPreserve, Then: ThenNothing}, nil)
	if !errors.Is(err, ErrRefused) || last.Code != CodeTooMany {
		t.Fatalf("%+v %v", last, err)
	}
}

// TestPatience: whoever says how long to wait is obeyed, such as the companion unit,
// which waits for the agent longer than people do.
func TestPatience(t *testing.T) {
	now := time.Now()
	if d := patience(t.Context(), Request{Verb: VerbPreserve, WaitSeconds: 7}, now).Sub(now); d != 37*time.Second {
		t.Errorf("without a limit: %s", d)
	}
	ctx, cancel := context.WithDeadline(t.Context(), now.Add(45*time.Second))
	defer cancel()
	if d := patience(ctx, Request{Verb: VerbShutdown}, now).Sub(now); d < 45*time.Second {
		t.Errorf("within 45 s: %s", d)
	}
}
