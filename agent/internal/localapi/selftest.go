package localapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
)

// Check is what came of one check of a self-test, in the words of record.SelfTest.
type Check struct {
	Check   string `json:"check"`
	Outcome string `json:"outcome"`
	Want    string `json:"want,omitempty"`
	Got     string `json:"got,omitempty"`
	Detail  string `json:"detail,omitempty"`
	TookNS  int64  `json:"took_ns,omitempty"`
}

// What a self-test may hold; a request as a whole has its limit too.
const (
	MaxChecks    = 64
	MaxCheckText = 400 // bytes of each text
)

func checkChecks(r Request) error {
	if (len(r.Checks) > 0) != (r.Verb == VerbSelfTest) {
		return fmt.Errorf("%d checks do not go with %s", len(r.Checks), r.Verb)
	}
	if len(r.Checks) > MaxChecks {
		return fmt.Errorf("%d checks, at most %d are allowed", len(r.Checks), MaxChecks)
	}
	for _, c := range r.Checks {
		for _, text := range []string{c.Check, c.Outcome, c.Want, c.Got, c.Detail} {
			if len(text) > MaxCheckText {
				return fmt.Errorf("check %.40q: a text has %d bytes, at most %d are allowed", c.Check, len(text), MaxCheckText)
			}
		}
		if c.Check == "" || c.Outcome == "" || c.TookNS < 0 {
			return errors.New("a check without its name or its outcome, or of less than no time")
		}
	}
	return nil
}

// selfTest keeps the results of a self-test.
func (s *Server) selfTest(ctx context.Context, c net.Conn, peer Peer, r Request) {
	if peer.UID != rootUser {
		s.say(c, Reply{Done: true, Code: CodeDenied, Error: "only root may have a self-test kept"})
		return
	}
	acquisitionID, err := s.cfg.Agent.SelfTest(ctx, r.Checks)
	if err != nil {
		s.cfg.Log.ErrorContext(ctx, "self-test not kept", slog.Any("error", err))
		s.say(c, Reply{Done: true, Code: CodeInternal, Error: err.Error()})
		return
	}
	s.say(c, Reply{Done: true, Preserve: &Preserve{Step: StepSealed, AcquisitionID: acquisitionID}})
}
