package evidence_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"hozen/collector/internal/evidence"
	"hozen/collector/internal/evidence/evidencetest"
	"hozen/collector/internal/fsck"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/artifact"
	"hozen/internal/crashpoint"
)

var errCrash = errors.New("crash")

// steps returns this package's steps.
func steps() []string {
	var out []string
	for _, p := range crashpoint.All() {
		if s, ok := strings.CutSuffix(p, ".before"); ok && strings.HasPrefix(s, "evidence.") {
			out = append(out, s)
		}
	}
	return out
}

// TestCrash stops the collector at every step, before and after it persisted, the
// first and the second time that it comes there. The agent comes back until it has a
// receipt; then everything must be there exactly once.
func TestCrash(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		site := evidencetest.New(t, db)
		ep := site.Endpoint(t)
		var sent []*evidencetest.Acquisition
		for _, step := range steps() {
			for _, persisted := range []bool{false, true} {
				for nth := 1; nth <= 2; nth++ {
					t.Run(fmt.Sprintf("%s/persisted=%t/%d", step, persisted, nth), func(t *testing.T) {
						a := ep.Acquisition(t, 60, artifact.KindProcess, artifact.KindNetConn, artifact.KindSession)
						sent = append(sent, a)
						crash(t, site, ep, a, step, persisted, nth)
						exactlyOnce(t, site, sent)
					})
				}
			}
		}
	})
}

func crash(t *testing.T, site *evidencetest.Site, ep *evidencetest.Endpoint, a *evidencetest.Acquisition, step string, persisted bool, nth int) {
	hits, dead := 0, false
	in := site.Open(t, func(cfg *evidence.Config) {
		evidence.FailSteps(cfg, func(s string, p bool) error {
			if s == step && p == persisted {
				if hits++; hits == nth {
					dead = true
				}
			}
			if dead { // nothing runs after a crash
				return errCrash
			}
			return nil
		})
	})
	_, err := evidencetest.Send(t.Context(), in, ep.ID, a)
	if once := step == crashpoint.EvidenceSealKept || step == crashpoint.EvidenceRowsKept || step == crashpoint.EvidenceCleaned; nth == 2 && once {
		if err != nil {
			t.Fatalf("a step that comes once came twice: %v", err)
		}
	} else if !errors.Is(err, errCrash) {
		t.Fatalf("did not crash: %v", err)
	}

	in = site.Open(t, nil)
	if _, err := in.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	r1, err := evidencetest.Send(t.Context(), in, ep.ID, a)
	if err != nil {
		t.Fatal(err)
	}
	r2, err := evidencetest.Send(t.Context(), in, ep.ID, a)
	if err != nil || !bytes.Equal(r1.Payload, r2.Payload) || !bytes.Equal(r1.Signature, r2.Signature) {
		t.Errorf("another receipt the second time: %v", err)
	}
}

func exactlyOnce(t *testing.T, site *evidencetest.Site, sent []*evidencetest.Acquisition) {
	t.Helper()
	report, err := fsck.Run(t.Context(), fsck.Config{DB: site.DB, Blobs: site.Blobs, CA: site.CA.Certificate(), Verifier: site}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Problems {
		t.Error(p)
	}
	for _, p := range report.Notes {
		t.Error(p)
	}
	if report.Acquisitions != len(sent) || report.Items != 3*len(sent) || report.Blobs != 4*len(sent) || report.Entries != int64(4*len(sent)) {
		t.Errorf("%d acquisitions were sent; there are %d, %d items, %d blobs, %d entries", len(sent), report.Acquisitions, report.Items, report.Blobs, report.Entries)
	}
	accepted, err := ledger.Entries(t.Context(), site.DB.Read(), ledger.Filter{OrganisationID: evidencetest.Org, Act: evidence.ActAccepted})
	if err != nil || len(accepted) != len(sent) {
		t.Errorf("%d entries of acceptance, %v", len(accepted), err)
	}
	if n := leftovers(t, site); n != 0 {
		t.Errorf("%d files are left in incoming", n)
	}
	if len(site.Refused) > 0 {
		t.Errorf("refused: %+v", site.Refused)
	}
}

// Without coming back: what was proven before the crash is accepted by the restart
// alone.
func TestRecoverAlone(t *testing.T) {
	site := evidencetest.New(t, sqldbtest.Open(t))
	ep := site.Endpoint(t)
	a := ep.Acquisition(t, 60, artifact.KindProcess, artifact.KindNetConn, artifact.KindSession)
	in := site.Open(t, func(cfg *evidence.Config) {
		blobs := 0
		evidence.FailSteps(cfg, func(s string, p bool) error {
			if s == crashpoint.EvidenceBlobKept && p {
				if blobs++; blobs == 2 {
					return errCrash
				}
			}
			return nil
		})
	})
	if _, err := evidencetest.Send(t.Context(), in, ep.ID, a); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	n, err := site.Open(t, nil).Recover(t.Context())
	if n != 1 || err != nil {
		t.Errorf("recovered %d, %v", n, err)
	}
	exactlyOnce(t, site, []*evidencetest.Acquisition{a})
}
