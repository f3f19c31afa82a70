package console

import (
	"errors"
	"net/http"
	"strconv"

	"hozen/collector/internal/act"
	"hozen/collector/internal/cosign"
	"hozen/collector/internal/timestamp"
)

// outsideRows is how many time stamps the page lists.
const outsideRows = 20

type ledgerOutsideView struct {
	act.OutsideStatus
	Tokens []timestamp.Token // newest first
	// Wrong says what came of asking those outside; empty: nobody asked, or it went well.
	Wrong string
}

// ledgerOutside shows who outside speaks for the ledger, and how that goes.
func (s *server) ledgerOutside(v *visit) error {
	return s.showOutside(v, nil, http.StatusOK)
}

func (s *server) showOutside(v *visit, wrong error, status int) error {
	if !abilitiesOf(v.operator.Role).Ledger {
		return act.ErrForbidden
	}
	var view ledgerOutsideView
	var err error
	if view.OutsideStatus, err = s.outside.OutsideStatus(v.ctx()); err != nil {
		return err
	}
	own := []cosign.Status{}
	for _, w := range view.Witnesses {
		if w.OrganisationID == v.operator.OrganisationID {
			own = append(own, w)
		}
	}
	view.Witnesses = own
	if view.Tokens, err = s.outside.LedgerTimestamps(v.ctx(), v.actor, 0, outsideRows); err != nil {
		return err
	}
	if wrong != nil {
		view.Wrong = plain(wrong.Error(), 400)
	}
	p := s.page(v, "ledger_outside", v.text.Text("title.ledger_outside"))
	p.Here = "/ledger/outside"
	return s.showStatus(v, status, p, view)
}

// outsideStamp has the ledger time stamped now.
func (s *server) outsideStamp(v *visit) error {
	_, err := s.outside.LedgerTimestamp(v.ctx(), v.actor)
	return s.spoken(v, err, "outside.stamped")
}

// outsideCosign shows the ledger to the witnesses now.
func (s *server) outsideCosign(v *visit) error {
	_, err := s.outside.LedgerCosign(v.ctx(), v.actor, "")
	return s.spoken(v, err, "outside.cosigned")
}

// spoken tells what came of asking somebody outside: that they do not answer is no fault of
// the collector.
func (s *server) spoken(v *visit, err error, flash string) error {
	switch {
	case err == nil:
		return s.done(v, flash, "/ledger/outside")
	case errors.Is(err, act.ErrForbidden), v.ctx().Err() != nil:
		return err
	case errors.Is(err, act.ErrConflict):
		return s.showOutside(v, err, http.StatusConflict)
	}
	return s.showOutside(v, err, http.StatusBadGateway)
}

// outsideFile sends one of the three files that stock tools check a time stamp with.
func (s *server) outsideFile(v *visit) error {
	idx, err := strconv.ParseInt(v.r.PathValue("index"), 10, 64)
	if err != nil || idx < 0 {
		return act.ErrNotFound
	}
	list, err := s.outside.LedgerTimestamps(v.ctx(), v.actor, idx+1, 1)
	if err != nil {
		return err
	}
	if len(list) != 1 || list[0].LedgerIdx != idx {
		return act.ErrNotFound
	}
	t := list[0]
	content, ok := map[string]string{"checkpoint.txt": t.Note, "token.tsr": string(t.Response), "ca.pem": t.ChainPEM}[v.r.PathValue("file")]
	if !ok {
		return act.ErrNotFound
	}
	attachment(v.w.Header(), strconv.FormatInt(idx, 10)+"-"+v.r.PathValue("file"), "application/octet-stream")
	_, _ = v.w.Write([]byte(content)) // the browser went away: nobody to tell
	return nil
}
