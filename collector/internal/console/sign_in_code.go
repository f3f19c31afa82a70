package console

import (
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/operator"
)

// Names of what a session keeps between the password and the code.
const (
	keyPending      = "pending"       // identifier of whose password was right
	keyPendingSince = "pending_since" // Unix seconds
	keyPendingNext  = "pending_next"  // where to go then
	keyPendingProof = "pending_proof" // of the password that was right
)

// codeTime is how long somebody has for the code after the password.
const codeTime = 5 * time.Minute

// askCode goes on with a sign-in whose password was right. The token changes here and once
// more when the code is right.
func (s *server) askCode(v *visit, op operator.Operator, proof, next string) error {
	ctx := v.ctx()
	if err := s.sessions.RenewToken(ctx); err != nil {
		return err
	}
	s.sessions.Put(ctx, keyPending, op.ID)
	s.sessions.Put(ctx, keyPendingSince, v.now.Unix())
	s.sessions.Put(ctx, keyPendingNext, next)
	s.sessions.Put(ctx, keyPendingProof, proof)
	return redirect(v, "/sign-in/code")
}

// pending is whose password was right a short while ago; empty: nobody's.
func (s *server) pending(v *visit) string {
	id := s.sessions.GetString(v.ctx(), keyPending)
	if id == "" || v.now.Sub(time.Unix(s.sessions.GetInt64(v.ctx(), keyPendingSince), 0)) > codeTime {
		return ""
	}
	return id
}

func (s *server) signInCodeForm(v *visit) error {
	if v.operator.ID != "" || s.pending(v) == "" {
		return redirect(v, "/sign-in")
	}
	return s.show(v, "sign_in_code", form{})
}

func (s *server) signInCode(v *visit) error {
	id := s.pending(v)
	if id == "" {
		return redirect(v, "/sign-in")
	}
	f, err := readForm(v, field{name: "code", max: 64})
	if err != nil {
		return err
	}
	status := http.StatusUnprocessableEntity
	if f.ok() {
		op, err := s.people.ConfirmSignIn(v.ctx(), id, s.sessions.GetString(v.ctx(), keyPendingProof), f.Values["code"], remoteHost(v.r))
		switch {
		case err == nil:
			next := local(s.sessions.GetString(v.ctx(), keyPendingNext))
			s.noPending(v)
			return s.signedInAs(v, op, next)
		case errors.Is(err, act.ErrSignInOver):
			s.noPending(v)
			return redirect(v, "/sign-in")
		case errors.Is(err, act.ErrLocked):
			v.w.Header().Set("Retry-After", "60")
			status, f.Errors["code"] = http.StatusTooManyRequests, v.text.Text("sign_in.wait")
		case errors.Is(err, act.ErrForbidden):
			f.Errors["code"] = v.text.Text("factor.wrong")
		default:
			return err
		}
	}
	f.Values = nil // a code is never sent back
	return s.showStatus(v, status, s.page(v, "sign_in_code", v.text.Text("title.sign_in_code")), f)
}

// noPending forgets whose password was right.
func (s *server) noPending(v *visit) {
	for _, k := range []string{keyPending, keyPendingSince, keyPendingNext, keyPendingProof} {
		s.sessions.Remove(v.ctx(), k)
	}
}

// signedInAs begins the session of a person. A token from before must not work after, or
// whoever planted it would be signed in too.
func (s *server) signedInAs(v *visit, op operator.Operator, next string) error {
	ctx := v.ctx()
	if err := s.sessions.RenewToken(ctx); err != nil {
		return err
	}
	s.sessions.Put(ctx, keyOperator, op.ID)
	s.sessions.Put(ctx, keySeen, v.now.Unix())
	s.sessions.Put(ctx, operator.SessionID, rand.Text())
	s.sessions.Put(ctx, operator.SessionStarted, v.now.Unix())
	s.sessions.Put(ctx, operator.SessionRemote, remoteHost(v.r))
	s.sessions.Put(ctx, operator.SessionAgent, plain(v.r.UserAgent(), 200))
	if op.MustChangePassword {
		return redirect(v, "/password")
	}
	return redirect(v, next)
}
