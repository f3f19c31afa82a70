package act

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"hozen/collector/internal/incident"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/phone"
	"hozen/collector/internal/sqldb"
	"hozen/internal/id"
)

// ByLink is whoever has a link of package phone: its identifier is the actor's.
const ByLink ActorKind = "link"

// NewLink is a link that a person makes.
type NewLink struct {
	Kind       phone.Kind
	IncidentID string // of a link for photographs: identifier or number
	Note       string // where it hangs, or who gets it
	Life       time.Duration
}

// linkThing is for what the token of a link is sealed: whoever can write to the database makes it
// neither another kind's or incident's nor good for longer.
func linkThing(l phone.Link) string {
	return strings.Join([]string{"link", l.ID, l.OrganisationID, string(l.Kind), l.IncidentID, sqldb.FormatTime(l.ExpiresAt)}, " ")
}

// linkToken opens the token of a link. Links that were made before tokens were sealed for more than
// the identifier stay good; none of today's opens so.
func (s *Acts) linkToken(l phone.Link) ([]byte, error) {
	b, err := s.secrets.Open(linkThing(l), l.Sealed)
	if err != nil {
		return s.secrets.Open("link "+l.ID, l.Sealed)
	}
	return b, nil
}

// MakeLink makes a link by which people without an account report, or send photographs of an
// incident.
func (s *Acts) MakeLink(ctx context.Context, a Actor, n NewLink) (l phone.Link, err error) {
	cleaned(&n.Note)
	switch {
	case !n.Kind.Valid():
		return l, &Invalid{Field: "kind", Code: "unknown", Err: fmt.Errorf("there is no link of the kind %.20q", n.Kind)}
	case !n.Kind.May(n.Life):
		return l, &Invalid{Field: "life", Code: "unknown", Err: fmt.Errorf("a link is not good for %s", n.Life)}
	}
	if err := text("note", n.Note, phone.MaxNote, n.Kind == phone.Reports); err != nil {
		return l, err
	}
	err = s.write(ctx, a, mayLink, func(ctx context.Context, d *deed) error {
		l = phone.Link{ID: id.New(id.Link), OrganisationID: d.actor.OrganisationID, Kind: n.Kind, Note: n.Note, MadeID: d.actor.ID, MadeBy: d.actor.Name, MadeAt: d.now, ExpiresAt: d.now.Add(n.Life)}
		var inc incident.Incident
		if n.Kind == phone.Photos {
			var err error
			if inc, err = s.incidentOpen(ctx, d, n.IncidentID); err != nil {
				return err
			}
			l.IncidentID, l.Note = inc.ID, cmp.Or(n.Note, inc.Number)
		}
		all, err := phone.List(ctx, d.tx, l.OrganisationID, l.IncidentID)
		if err != nil {
			return err
		}
		good := 0
		for _, o := range all {
			if o.Good(d.now) {
				good++
			}
		}
		if good >= phone.MaxActive {
			return &Invalid{Field: "note", Code: "too_many", Err: fmt.Errorf("%d links are good already", good)}
		}
		token := phone.NewToken()
		if l.Sealed, err = s.secrets.Seal(linkThing(l), []byte(token)); err != nil {
			return err
		}
		if err := phone.Insert(ctx, d.tx, l, token); err != nil {
			return err
		}
		return s.linkLine(ctx, d, l, inc, phone.ActLink, "link", map[string]string{phone.TokenSHA256: phone.ShortToken(token), phone.SealedSHA256: ledger.OrNone(phone.ShortSealed(l.Sealed))})
	})
	return l, err
}

// linkLine records what was done with a link, in the timeline too where it is of an incident.
func (s *Acts) linkLine(ctx context.Context, d *deed, l phone.Link, inc incident.Incident, act, what string, more map[string]string) error {
	facts := map[string]string{"kind": string(l.Kind), "incident": l.IncidentID, "note": l.Note, "expires_at": sqldb.FormatTime(l.ExpiresAt)}
	maps.Copy(facts, more)
	idx, err := d.record(ctx, act, l.ID, facts)
	if err != nil || inc.ID == "" {
		return err
	}
	return s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryAccess, Params: map[string]string{"what": what, "name": l.Note, "until": sqldb.FormatTime(l.ExpiresAt)}, LedgerIdx: idx})
}

// Links lists the links of the actor's organisation for reports, or those of an incident,
// the newest first.
func (s *Acts) Links(ctx context.Context, a Actor, incidentID string) ([]phone.Link, error) {
	return read(ctx, s, a, mayLink, func(q sqldb.Queryer, a Actor) ([]phone.Link, error) {
		if incidentID != "" {
			inc, err := incident.FindBare(ctx, q, a.OrganisationID, incidentID)
			if err != nil {
				return nil, err
			}
			incidentID = inc.ID
		}
		return phone.List(ctx, q, a.OrganisationID, incidentID)
	})
}

// ShownLink is a link as those see it who may hand it out.
type ShownLink struct {
	phone.Link
	// Token is its secret part; empty when the link is over or the key to it is lost.
	Token string
	// Base is where the console is reached, "https://host:port"; empty: nobody said.
	Base string
}

// ShowLink returns a link with its token.
func (s *Acts) ShowLink(ctx context.Context, a Actor, linkID string) (ShownLink, error) {
	return read(ctx, s, a, mayLink, func(q sqldb.Queryer, a Actor) (ShownLink, error) {
		l, err := phone.Find(ctx, q, a.OrganisationID, linkID)
		if err != nil {
			return ShownLink{}, err
		}
		shown := ShownLink{Link: l}
		if l.Good(s.now()) {
			if b, err := s.linkToken(l); err == nil {
				shown.Token = string(b)
			}
		}
		shown.Base, err = s.consoleURL(ctx, a.OrganisationID)
		return shown, err
	})
}

// RevokeLink ends a link at once. Again is no error.
func (s *Acts) RevokeLink(ctx context.Context, a Actor, linkID string) error {
	return s.write(ctx, a, mayLink, func(ctx context.Context, d *deed) error {
		l, err := phone.Find(ctx, d.tx, d.actor.OrganisationID, linkID)
		if err != nil {
			return err
		}
		was, err := phone.Revoke(ctx, d.tx, l.ID, d.actor.Name, d.now)
		if err != nil || !was {
			return err
		}
		var inc incident.Incident
		if l.IncidentID != "" {
			if inc, err = incident.FindBare(ctx, d.tx, l.OrganisationID, l.IncidentID); err != nil {
				return err
			}
		}
		return s.linkLine(ctx, d, l, inc, phone.ActRevoke, "end_link", nil)
	})
}

// ErrTooMany means that more comes by a link than a person sends; waiting helps.
var ErrTooMany = errors.New("too much came in a short time")

// LinkPage is what whoever has a link sees of the collector.
type LinkPage struct {
	Kind         phone.Kind
	Organisation string
	Number       string // of the incident, of a link for photographs
	Drill        bool   // the incident is a drill
}

// usableLink finds the link of a token. One that is not good any more, and one of an incident
// that is closed, does not exist: whoever has it needs not know more.
func (s *Acts) usableLink(ctx context.Context, q sqldb.Queryer, token string, kind phone.Kind) (phone.Link, incident.Incident, error) {
	l, err := phone.ByToken(ctx, q, token, s.now())
	if err == nil { // a link that somebody wrote into the database is none
		if own, e := s.linkToken(l); e != nil || subtle.ConstantTimeCompare(own, []byte(token)) != 1 {
			err = phone.ErrNotFound
		}
	}
	if err == nil && kind != "" && l.Kind != kind {
		err = phone.ErrNotFound
	}
	if errors.Is(err, phone.ErrNotFound) || errors.Is(err, phone.ErrOver) {
		err = fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	if err != nil || l.Kind != phone.Photos {
		return l, incident.Incident{}, err
	}
	inc, err := incident.FindBare(ctx, q, l.OrganisationID, l.IncidentID)
	if err == nil {
		inc, err = incident.GoesOn(ctx, q, inc)
	}
	if err == nil && !inc.ClosedAt.IsZero() {
		err = fmt.Errorf("%w: the incident is closed", ErrNotFound)
	}
	return l, inc, err
}

func linkActor(l phone.Link) Actor {
	return Actor{Kind: ByLink, ID: l.ID, Name: l.Note, OrganisationID: l.OrganisationID}
}

// byLink makes whoever has a link the actor of a deed, unless too much came by it.
func (d *deed) byLink(ctx context.Context, l phone.Link, place string) error {
	d.actor = linkActor(l)
	switch err := phone.Room(ctx, d.tx, l, place, d.now); {
	case errors.Is(err, phone.ErrTooMany):
		return fmt.Errorf("%w: %w", ErrTooMany, err)
	case errors.Is(err, phone.ErrOver):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	default:
		return err
	}
}

// OpenLink returns what the page of a link says. The error is [ErrNotFound] for one that is
// not good.
func (s *Acts) OpenLink(ctx context.Context, token string) (LinkPage, error) {
	l, inc, err := s.usableLink(ctx, s.db.Read(), token, "")
	if err != nil {
		return LinkPage{}, known(err)
	}
	name, err := organisationName(ctx, s.db.Read(), l.OrganisationID)
	return LinkPage{Kind: l.Kind, Organisation: name, Number: inc.Number, Drill: inc.Drill}, err
}
