package cosign

import (
	"context"
	"strings"
	"time"

	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	parsing "hozen/internal/custody/checkpoint"
)

// Status is how one witness goes with one ledger.
type Status struct {
	OrganisationID string
	Witness        string
	URL            string // empty: people carry notes to it
	// Size and At are of the newest state of the present line that it signed; zero: none.
	Size int64
	At   time.Time // by the witness's clock
	// Failing says why it did not sign when it was asked last; empty when it did.
	Failing string
	Ahead   bool // it has seen more entries than there are
	Since   time.Time
	Next    time.Time
}

// Status tells how every witness goes with every ledger that is signed.
func (c *Cosigner) Status(ctx context.Context) ([]Status, error) {
	heads, err := ledger.Heads(ctx, c.cfg.DB.Read())
	if err != nil {
		return nil, err
	}
	var out []Status
	for _, h := range heads {
		signed, ok, err := c.cfg.Log.Newest(ctx, h.OrganisationID)
		if err != nil || !ok {
			continue
		}
		for _, w := range c.cfg.Witnesses {
			last, _, err := Newest(ctx, c.cfg.DB.Read(), h.OrganisationID, signed.Origin, w.Key.Text())
			if err != nil {
				return nil, err
			}
			st := Status{OrganisationID: h.OrganisationID, Witness: w.Key.Name(), URL: w.URL, Size: last.Size, At: last.At}
			c.mu.Lock()
			if t := c.state[w.Key.Text()+" "+h.OrganisationID]; t != nil {
				st.Failing, st.Ahead, st.Since, st.Next = t.err, t.ahead, t.since, t.next
			}
			c.mu.Unlock()
			out = append(out, st)
		}
	}
	return out, nil
}

// Finding is a cosignature that is not what it was when it came, or (Note) the newest of a
// witness.
type Finding struct {
	OrganisationID string
	Note           bool
	Subject        string // the witness
	Detail         string // English, for experts
}

// Audit checks every cosignature again by the key that it is kept with, and returns the
// newest checkpoint of each witness and line: the ledger must go on from it.
func Audit(ctx context.Context, q sqldb.Queryer, organisationIDs []string) (findings []Finding, kept []checkpoint.Known, err error) {
	const batch = 200
	for _, org := range organisationIDs {
		newest, order := map[string]Signature{}, []string{}
		for after := (Signature{}); ; {
			list, err := page(ctx, q, org, after, batch)
			if err != nil {
				return nil, nil, err
			}
			for _, s := range list {
				after = s
				if why := s.wrong(); why != "" {
					findings = append(findings, Finding{org, false, s.Witness, why})
					continue
				}
				key := s.WitnessKey + " " + s.Origin
				if _, ok := newest[key]; !ok {
					order = append(order, key)
				}
				newest[key] = s
			}
			if len(list) < batch {
				break
			}
		}
		for _, key := range order {
			s := newest[key]
			kept = append(kept, checkpoint.Known{Name: "cosigned by " + s.Witness, Note: s.Note})
			findings = append(findings, Finding{org, true, s.Witness, "it signed " + s.said() + " of " + s.Origin + " on " + sqldb.FormatTime(s.At)})
		}
	}
	return findings, kept, nil
}

func (s Signature) said() string {
	_, rest, _ := strings.Cut(s.Note, "\n")
	size, _, _ := strings.Cut(rest, "\n")
	return size + " entries"
}

// wrong says what is not right about a signature as it is kept; empty: nothing.
func (s Signature) wrong() string {
	w, err := parsing.ParseWitness(s.WitnessKey)
	if err != nil {
		return err.Error()
	}
	state, err := parsing.Parse(s.Note)
	if err != nil {
		return err.Error()
	}
	list, err := parsing.Cosignatures(s.Note+s.Line, []parsing.Witness{w})
	switch {
	case err != nil:
		return err.Error()
	case len(list) != 1 || !list[0].At.Equal(s.At) || w.Name() != s.Witness || state.Size != s.Size || state.Origin != s.Origin:
		return "the row is not what the witness signed"
	}
	return ""
}
