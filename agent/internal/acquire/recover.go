package acquire

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"

	"hozen/agent/internal/spool"
	"hozen/internal/artifact"
	"hozen/internal/digest"
)

// Leftovers is the part of a spool that gives back what a dead agent left unsealed.
type Leftovers interface {
	List() []spool.Info
	Resume(acquisitionID string) (*spool.Acquisition, error)
}

// Recover seals every interrupted acquisition with the outcome interrupted, and
// returns how many. What cannot be sealed stays as it is and is in the error; the rest
// goes on.
func (r *Runner) Recover(ctx context.Context, from Leftovers) (sealed int, err error) {
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, fmt.Errorf("seal interrupted acquisitions: %w", ctx.Err())
	}
	defer func() { <-r.turn }()
	for _, info := range from.List() {
		if info.State != spool.Interrupted {
			continue
		}
		if cerr := ctx.Err(); cerr != nil {
			return sealed, errors.Join(err, cerr)
		}
		if rerr := r.recoverOne(from, info.AcquisitionID); rerr != nil {
			err = errors.Join(err, fmt.Errorf("seal interrupted %s: %w", info.AcquisitionID, rerr))
			continue
		}
		sealed++
		r.cfg.Log.WarnContext(ctx, "interrupted acquisition sealed", slog.String("acquisition", info.AcquisitionID))
	}
	return sealed, err
}

func (r *Runner) recoverOne(from Leftovers, acquisitionID string) error {
	who, err := r.cfg.Identity()
	if err != nil {
		return err
	}
	acq, err := from.Resume(acquisitionID)
	if err != nil {
		return err
	}
	n, err := parseNote(acq.Plan())
	if err == nil && n.Manifest.AcquisitionID != acquisitionID {
		err = fmt.Errorf("running notes belong to %.60q", n.Manifest.AcquisitionID)
	}
	if err != nil {
		return errors.Join(err, acq.Leave())
	}
	m := n.Manifest
	// The key may be another one by now, and the endpoint too: what is signed is who
	// signs today.
	m.EndpointID, m.Signer, m.Outcome = who.EndpointID, who.Signer.Describe(), artifact.Interrupted
	if m.Artifacts, err = r.recoverEntries(acq, n); err != nil {
		return errors.Join(err, acq.Leave())
	}
	m.Probes = r.recoverOutcomes(acq, n, m.Artifacts)
	if _, err := r.seal(acq, m, who.Signer, time.Time{}); err != nil {
		return errors.Join(err, acq.Leave())
	}
	return nil
}

// recoverEntries describes the parts that lie there. Parts that the notes don't know,
// because the crash came between closing a part and noting it, are read again.
func (r *Runner) recoverEntries(acq *spool.Acquisition, n note) ([]artifact.Entry, error) {
	entries := []artifact.Entry{}
	for _, p := range acq.Parts() {
		i := slices.IndexFunc(n.Manifest.Artifacts, func(e artifact.Entry) bool { return e.Name == p.Name })
		if i >= 0 {
			entries = append(entries, n.Manifest.Artifacts[i])
			continue
		}
		e, err := noted(acq, p.Name)
		if errors.Is(err, errNotNoted) {
			e, err = readBack(acq, n, p.Name)
		}
		if err != nil {
			return nil, fmt.Errorf("read %s again: %w", p.Name, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// errNotNoted means that nothing is noted of a part.
var errNotNoted = errors.New("nothing is noted of it")

// noted is what was noted of a part that is encrypted. What else is wrong with it, whoever
// checks the manifest finds.
func noted(acq *spool.Acquisition, name string) (artifact.Entry, error) {
	b := acq.PartNote(name)
	if b == nil {
		return artifact.Entry{}, errNotNoted
	}
	var e artifact.Entry
	if err := json.Unmarshal(b, &e); err != nil {
		return artifact.Entry{}, fmt.Errorf("read what is noted of it: %w", err)
	}
	if e.Name != name {
		return artifact.Entry{}, fmt.Errorf("what is noted of it speaks of %.100q", e.Name)
	}
	return e, nil
}

func readBack(acq *spool.Acquisition, n note, name string) (artifact.Entry, error) {
	i := slices.IndexFunc(n.Planned, func(p planned) bool { return artifactName(p.Kind) == name })
	if i < 0 {
		return artifact.Entry{}, errors.New("no probe of the plan writes such a part")
	}
	kind := n.Planned[i].Kind
	f, err := acq.Read(name)
	if err != nil {
		return artifact.Entry{}, err
	}
	defer f.Close()
	stored := digest.NewWriter(io.Discard)
	dec, err := zstd.NewReader(io.TeeReader(f, stored), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window))
	if err != nil {
		return artifact.Entry{}, err
	}
	defer dec.Close()
	plain := digest.NewWriter(io.Discard)
	lines := bufio.NewReaderSize(io.TeeReader(dec, plain), batch)
	var records int64
	for {
		b, err := lines.ReadSlice('\n')
		if len(b) > 0 && b[len(b)-1] == '\n' {
			records++
		}
		if err == io.EOF {
			break
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return artifact.Entry{}, err
		}
	}
	if kind.Form() != artifact.FormLines {
		records = 1
	}
	return artifact.Entry{
		Name: name, Kind: kind, Schema: n.Planned[i].Schema, Records: records, Compression: "zstd",
		Envelope: artifact.Envelope{Scheme: "none"},
		Plain:    artifact.Content{SHA256: plain.Sum().String(), Size: plain.Size()},
		Stored:   artifact.Content{SHA256: stored.Sum().String(), Size: stored.Size()},
	}, nil
}

// recoverOutcomes gives every probe of the plan an outcome: as noted, or interrupted
// for those that ran or may have run, and not_started for the rest. An acquisition in a
// hurry keeps no notes, so all up to the last that left something may have run, and the
// one behind it.
func (r *Runner) recoverOutcomes(acq *spool.Acquisition, n note, entries []artifact.Entry) []artifact.ProbeOutcome {
	outcomes := slices.Clone(n.Manifest.Probes)
	noted := min(len(outcomes), len(n.Planned))
	entryOf := func(k artifact.Kind) int {
		return slices.IndexFunc(entries, func(e artifact.Entry) bool { return e.Kind == k })
	}
	dropped := func(k artifact.Kind) bool { return slices.Contains(acq.Dropped(), artifactName(k)) }
	last := noted // of those that may have begun
	for i := noted; i < len(n.Planned); i++ {
		switch k := n.Planned[i].Kind; {
		case entryOf(k) >= 0:
			last = i + 1
		case dropped(k):
			last = i
		}
	}
	for i := noted; i < len(n.Planned); i++ {
		p := n.Planned[i]
		o := artifact.ProbeOutcome{Kind: p.Kind, BudgetNS: p.BudgetNS, Outcome: artifact.Interrupted, Detail: "the agent stopped meanwhile"}
		switch j := entryOf(p.Kind); {
		case j >= 0:
			o.Records = entries[j].Records
			o.Detail = "the agent stopped before it was noted how this ended; what was written is whole"
		case dropped(p.Kind):
			o.Detail += "; what it had written was not whole and is not kept"
		case i > last:
			o.Outcome, o.Detail = artifact.NotStarted, "the agent stopped before"
		case i < last:
			o.Detail = "the agent stopped before it was noted how this ended; nothing was kept"
		}
		outcomes = append(outcomes, o)
	}
	return outcomes
}
