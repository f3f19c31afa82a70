package shutdown

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/durable"
	"hozen/internal/id"
)

// Format is the first field of shutdown.json.
const Format = "hozen-power/1"

const (
	stateFile = "shutdown.json"
	maxState  = 256 << 10
	maxBootID = 64
)

// Last is what is known on disk of how a boot went down. It is written with the first
// notice and again when the PC was let go, so an Episode without SealedAt was cut short.
type Last struct {
	Format  string                  `json:"format"`
	BootID  string                  `json:"boot_id"`
	Notices []record.ShutdownNotice `json:"notices"` // oldest first, the newest 64
	Down    *Episode                `json:"down,omitempty"`
	Sleep   *Episode                `json:"sleep,omitempty"` // the latest
	Early   *Episode                `json:"early,omitempty"` // the latest capture for a scheduled shutdown
	// Logoff is the latest capture because somebody signed out.
	Logoff *Episode `json:"logoff,omitempty"`
}

// Episode is one going-down, falling asleep or signing out, or one early capture.
type Episode struct {
	NoticedAt artifact.Instant `json:"noticed_at"`
	Source    string           `json:"source"` // of the first notice
	Type      string           `json:"type,omitempty"`
	// AcquisitionID is what was begun; it is evidence once SealedAt is there.
	AcquisitionID string           `json:"acquisition_id"`
	IncidentOpen  bool             `json:"incident_open,omitempty"`
	SealedAt      artifact.Instant `json:"sealed_at,omitzero"`
	Outcome       artifact.Outcome `json:"outcome,omitempty"`
	// Empty says that neither processes nor connections are in what was sealed, see [Empty].
	Empty      bool             `json:"empty,omitempty"`
	Detail     string           `json:"detail,omitempty"` // why nothing was sealed
	ReleasedAt artifact.Instant `json:"released_at,omitzero"`
	// AddedDelayNS is how long the PC was held from the notice on, FirstArtifactNS how long
	// it took until the first artifact was durable.
	AddedDelayNS    int64 `json:"added_delay_ns,omitempty"`
	FirstArtifactNS int64 `json:"first_artifact_ns,omitempty"`
	// EndedAt is when it was called off, or when the PC woke up.
	EndedAt artifact.Instant `json:"ended_at,omitzero"`
}

// GoingDown is the going-down that was noticed and not called off, or nil.
func (l Last) GoingDown() *Episode {
	if l.Down == nil || !l.Down.EndedAt.Wall.IsZero() {
		return nil
	}
	return l.Down
}

// Asleep is the sleep from which the PC did not wake, or nil.
func (l Last) Asleep() *Episode {
	if l.Sleep == nil || !l.Sleep.EndedAt.Wall.IsZero() {
		return nil
	}
	return l.Sleep
}

// By is the newest notice of a shutdown that says who asked, or nil: the request itself
// or the schedule it came from.
func (l Last) By() *record.ShutdownNotice {
	for i := len(l.Notices) - 1; i >= 0; i-- {
		switch n := &l.Notices[i]; n.Event {
		case Cancelled, Unscheduled:
			return nil
		case Down, Scheduled:
			if n.ByUID >= 0 || n.ByPID > 0 || n.ByTTY != "" {
				return n
			}
		}
	}
	return nil
}

func (l Last) clone() Last {
	l.Notices = slices.Clone(l.Notices)
	for _, e := range []**Episode{&l.Down, &l.Sleep, &l.Early, &l.Logoff} {
		if *e != nil {
			c := **e
			*e = &c
		}
	}
	return l
}

// Empty reports whether an acquisition holds neither processes nor connections, such as
// when the disk was full after its first lines: no capture of a PC that goes down, and
// nothing that it may be switched off for.
func Empty(m artifact.Manifest) bool {
	return !slices.ContainsFunc(m.Probes, func(p artifact.ProbeOutcome) bool {
		return (p.Kind == artifact.KindProcess || p.Kind == artifact.KindNetConn) && p.Records > 0
	})
}

// ReadLast reads what was noted last in dir, of whichever boot. The error wraps
// fs.ErrNotExist when nothing was.
func ReadLast(dir string) (Last, error) { return readState(filepath.Join(dir, stateFile)) }

func readState(path string) (Last, error) {
	f, err := os.Open(path)
	if err != nil {
		return Last{}, fmt.Errorf("read what was noted of the shutdown: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err == nil && len(b) > maxState {
		err = fmt.Errorf("more than %d bytes", maxState)
	}
	if err != nil {
		return Last{}, fmt.Errorf("read %q: %w", path, err)
	}
	l, err := parseLast(b)
	if err != nil {
		return Last{}, fmt.Errorf("read %q: %w", path, err)
	}
	return l, nil
}

func parseLast(b []byte) (Last, error) {
	var l Last
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return Last{}, err
	}
	if _, err := d.Token(); err != io.EOF {
		return Last{}, errors.New("something follows the object")
	}
	if l.Format != Format {
		return Last{}, fmt.Errorf("format %.40q is not %s", l.Format, Format)
	}
	if len(l.BootID) > maxBootID || len(l.Notices) > maxNotices {
		return Last{}, errors.New("too long")
	}
	for _, n := range l.Notices {
		if err := errors.Join(checkTime(n.At), checkTime(n.For)); err != nil {
			return Last{}, err
		}
	}
	for _, e := range []*Episode{l.Down, l.Sleep, l.Early, l.Logoff} {
		if e == nil {
			continue
		}
		if err := e.check(); err != nil {
			return Last{}, err
		}
	}
	return l, nil
}

func (e *Episode) check() error {
	if e.Outcome != "" && !e.Outcome.Valid() {
		return fmt.Errorf("outcome %.40q is none", e.Outcome)
	}
	if e.AddedDelayNS < 0 || e.FirstArtifactNS < 0 {
		return errors.New("a time is negative")
	}
	if e.NoticedAt.Wall.IsZero() {
		return errors.New("an episode without its notice")
	}
	for _, i := range []artifact.Instant{e.NoticedAt, e.SealedAt, e.ReleasedAt, e.EndedAt} {
		if err := checkTime(i.Wall); err != nil {
			return err
		}
	}
	return id.Check(id.Acquisition, e.AcquisitionID)
}

// checkTime refuses what could not be written again.
func checkTime(t time.Time) error {
	if y := t.UTC().Year(); y < 0 || y > 9999 {
		return errors.New("a time is out of range")
	}
	return nil
}

func writeLast(dir string, l Last) error {
	if l.Notices == nil {
		l.Notices = []record.ShutdownNotice{}
	}
	b, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return fmt.Errorf("encode what is known of the shutdown: %w", err)
	}
	return durable.WriteFile(filepath.Join(dir, stateFile), append(b, '\n'), 0o600)
}
