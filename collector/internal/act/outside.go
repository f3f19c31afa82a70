package act

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/cosign"
	"hozen/collector/internal/export"
	"hozen/collector/internal/fsck"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/timestamp"
	"hozen/internal/custody/logdir"
)

// exportWait is how long the first writing of a package waits for those outside.
const exportWait = 10 * time.Second

// Outside is who speaks for the ledger beside this collector. Every field is optional.
type Outside struct {
	Stamper  *timestamp.Stamper // an authority for time stamps
	Cosigner *cosign.Cosigner   // witnesses
	// Fault says why one of them that is in the settings is not there; empty: none is missing.
	Fault string
}

// LedgerTimestamp has the ledger as it is now time stamped by the outside authority.
func (s *Acts) LedgerTimestamp(ctx context.Context, a Actor) (timestamp.Token, error) {
	a, err := s.identify(ctx, s.db.Read(), a, mayReadLedger)
	if err != nil {
		return timestamp.Token{}, err
	}
	if s.outside.Stamper == nil {
		return timestamp.Token{}, s.noneOutside("url in [timestamp]")
	}
	signed, err := s.signedNow(ctx, a.OrganisationID)
	if err != nil {
		return timestamp.Token{}, err
	}
	return s.outside.Stamper.Stamp(ctx, a.OrganisationID, signed, byOf(a), timestamp.OnDemand)
}

// noneOutside says that a setting is not there, or what is wrong with it.
func (s *Acts) noneOutside(setting string) error {
	if s.outside.Fault != "" {
		return fmt.Errorf("%w: %s", ErrConflict, s.outside.Fault)
	}
	return fmt.Errorf("%w: the settings have no %s", ErrConflict, setting)
}

func byOf(a Actor) timestamp.By {
	return timestamp.By{Kind: string(a.Kind), ID: a.ID, Name: a.Name, BreakGlass: a.BreakGlass}
}

// LedgerTimestamps lists the time stamps of the ledger, the newest first; those that stand
// in the ledger before an entry, when before is not 0.
func (s *Acts) LedgerTimestamps(ctx context.Context, a Actor, before int64, limit int) ([]timestamp.Token, error) {
	return read(ctx, s, a, mayReadLedger, func(q sqldb.Queryer, a Actor) ([]timestamp.Token, error) {
		return timestamp.List(ctx, q, a.OrganisationID, before, min(max(limit, 1), 1000))
	})
}

// Cosigned is a signed checkpoint with what witnesses signed of it.
type Cosigned struct {
	Note       string // with the signatures of the witnesses below it
	Size       int64
	Signatures []cosign.Signature
}

// LedgerCosign shows the ledger as it is now to the witnesses, or takes in what they signed
// of an earlier checkpoint that somebody carried to them.
func (s *Acts) LedgerCosign(ctx context.Context, a Actor, carried string) (Cosigned, error) {
	a, err := s.identify(ctx, s.db.Read(), a, mayReadLedger)
	if err != nil {
		return Cosigned{}, err
	}
	if s.outside.Cosigner == nil {
		return Cosigned{}, s.noneOutside("witnesses in [ledger]")
	}
	signed, err := s.signedNow(ctx, a.OrganisationID)
	if err != nil {
		return Cosigned{}, err
	}
	if carried == "" {
		list, err := s.outside.Cosigner.Cosign(ctx, a.OrganisationID, signed)
		if len(list) > 0 && errors.Is(err, cosign.ErrWitness) {
			err = nil // the others signed; status tells of the rest
		}
		return Cosigned{cosign.Join(signed.Note, list), signed.Size, list}, err
	}
	v, err := s.checkpoints.Held(ctx, a.OrganisationID, carried)
	switch {
	case err != nil:
		return Cosigned{}, err
	case v.Difference != nil:
		return Cosigned{}, errors.Join(s.noteDifference(ctx, *v.Difference, "", carried), fmt.Errorf("%w: %s", ErrConflict, v.Difference.Detail))
	case !v.Ours || v.Declared || v.Known.Origin != signed.Origin:
		return Cosigned{}, &Invalid{Field: "note", Code: "malformed", Err: errors.New("it is no checkpoint of this ledger's present line")}
	}
	list, err := s.outside.Cosigner.Accept(ctx, a.OrganisationID, carried, signed.Key)
	if err == nil && len(list) == 0 {
		err = &Invalid{Field: "note", Code: "malformed", Err: errors.New("no witness of the settings signed it")}
	}
	if err != nil {
		return Cosigned{}, err
	}
	return Cosigned{cosign.Join(list[0].Note, list), list[0].Size, list}, nil
}

// OutsideStatus is how those outside go. Everybody may know that.
type OutsideStatus struct {
	Timestamp *timestamp.Status // nil: there is no authority
	Witnesses []cosign.Status
	Fault     string
}

// OutsideStatus tells how time stamps and cosignatures go.
func (s *Acts) OutsideStatus(ctx context.Context) (OutsideStatus, error) {
	st := OutsideStatus{Fault: s.outside.Fault}
	if s.outside.Stamper != nil {
		t, err := s.outside.Stamper.Status(ctx)
		if err != nil {
			return st, err
		}
		st.Timestamp = &t
	}
	if s.outside.Cosigner != nil {
		var err error
		if st.Witnesses, err = s.outside.Cosigner.Status(ctx); err != nil {
			return st, err
		}
	}
	return st, nil
}

// WatchOutside has the ledgers time stamped and cosigned by the clock until ctx ends. Nothing
// else waits for it.
func (s *Acts) WatchOutside(ctx context.Context) {
	var running sync.WaitGroup
	if s.outside.Stamper != nil {
		running.Go(func() { s.outside.Stamper.Run(ctx) })
	}
	if s.outside.Cosigner != nil {
		running.Go(func() { s.outside.Cosigner.Run(ctx) })
	}
	running.Wait()
}

// witnessCheckpoint has the checkpoint of a package time stamped and cosigned before the package is written
// for the first time. It waits a while and never fails: who does not answer now is
// asked by the clock, about a later state, and the package goes without.
func (s *Acts) witnessCheckpoint(ctx context.Context, a Actor, organisationID string, signed checkpoint.Signed) {
	ctx, cancel := context.WithTimeout(ctx, exportWait)
	defer cancel()
	if known, err := s.identify(ctx, s.db.Read(), a, mayLook); err == nil {
		a = known // the ledger names who it is
	}
	var asking sync.WaitGroup
	if s.outside.Stamper != nil {
		asking.Go(func() {
			if _, err := s.outside.Stamper.TryStamp(ctx, organisationID, signed, byOf(a), timestamp.ForExport); err != nil {
				s.log.WarnContext(ctx, "checkpoint of a package without time stamp", slog.Any("error", err))
			}
		})
	}
	if s.outside.Cosigner != nil {
		asking.Go(func() {
			if _, err := s.outside.Cosigner.TryCosign(ctx, organisationID, signed); err != nil {
				s.log.WarnContext(ctx, "checkpoint of a package without all cosignatures", slog.Any("error", err))
			}
		})
	}
	asking.Wait()
}

// cosignedNote is a signed checkpoint with what witnesses signed of it below.
func (s *Acts) cosignedNote(ctx context.Context, organisationID, note string) (string, error) {
	list, err := cosign.Of(ctx, s.db.Read(), organisationID, note)
	if err != nil {
		return "", err
	}
	return cosign.Join(note, list), nil
}

// exportStamp writes the time stamp of a checkpoint, if it has one, into the folder of an
// exported ledger.
func (s *Acts) exportStamp(ctx context.Context, organisationID, note, dir string) error {
	t, ok, err := timestamp.Of(ctx, s.db.Read(), organisationID, note)
	if err != nil || !ok {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, filepath.Dir(filepath.FromSlash(logdir.StampFile))), 0o700); err != nil {
		return fmt.Errorf("export time stamp: %w", err)
	}
	for name, b := range map[string][]byte{logdir.StampedFile: []byte(t.Note), logdir.StampFile: t.Response, logdir.StampRootsFile: []byte(t.ChainPEM)} {
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), b, 0o600); err != nil {
			return fmt.Errorf("export time stamp: %w", err)
		}
	}
	return nil
}

// auditOutside checks every time stamp and cosignature again, and returns the checkpoints
// that those outside and packages know of. They are looked at also when nobody outside is in the settings any more.
func (s *Acts) auditOutside(ctx context.Context) (problems, notes []fsck.Problem, kept []checkpoint.Known, err error) {
	q := s.db.Read()
	all, err := organisation.All(ctx, q)
	if err != nil {
		return nil, nil, nil, err
	}
	var orgs []string
	for _, o := range all {
		orgs = append(orgs, o.ID)
	}
	stamps, kept, err := timestamp.Audit(ctx, q, orgs)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, f := range stamps {
		problems = append(problems, fsck.Problem{Code: "timestamp", OrganisationID: f.OrganisationID, Subject: f.Subject, Detail: f.Detail})
	}
	signatures, cosigned, err := cosign.Audit(ctx, q, orgs)
	for _, f := range signatures {
		p := fsck.Problem{Code: "cosignature", OrganisationID: f.OrganisationID, Subject: f.Subject, Detail: f.Detail}
		if f.Note {
			notes = append(notes, p)
		} else {
			problems = append(problems, p)
		}
	}
	kept = append(kept, cosigned...)
	for _, org := range orgs {
		if err == nil {
			var packages []checkpoint.Known
			packages, err = export.Checkpoints(ctx, q, org)
			kept = append(kept, packages...)
		}
	}
	return problems, notes, kept, err
}
