package act

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"

	"hozen/collector/internal/contact"
	"hozen/collector/internal/sqldb"
	"hozen/internal/id"
)

// OwnContacts returns the contacts of the actor's organisation as they are now.
func (s *Acts) OwnContacts(ctx context.Context, a Actor) ([]contact.Own, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) ([]contact.Own, error) {
		return contact.List(ctx, q, a.OrganisationID)
	})
}

// OwnContact returns one contact as it is now, and all its versions, older first.
func (s *Acts) OwnContact(ctx context.Context, a Actor, contactID string) (contact.Own, []contact.Own, error) {
	var versions []contact.Own
	o, err := read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) (o contact.Own, err error) {
		if o, err = contact.Find(ctx, q, a.OrganisationID, contactID); err == nil {
			versions, err = contact.Versions(ctx, q, a.OrganisationID, contactID)
		}
		return o, err
	})
	return o, versions, err
}

// maxWithin bounds the hours within which somebody has to be told: a year.
const maxWithin = 8784

func checkContact(o contact.Own) error {
	if !o.Kind.Valid() {
		return &Invalid{Field: "kind", Code: "unknown", Err: fmt.Errorf("there is no kind %.40q", o.Kind)}
	}
	for _, f := range []struct {
		name, value string
		max         int
	}{{"name", o.Name, contact.MaxName}, {"person", o.Person, contact.MaxName}, {"tel", o.Tel, 64}, {"mail", o.Mail, contact.MaxName}, {"url", o.URL, 1024},
		{"hours", o.Hours, contact.MaxName}, {"reference", o.Reference, contact.MaxName}, {"note", o.Note, contact.MaxText}} {
		if err := text(f.name, f.value, f.max, f.name == "name"); err != nil {
			return err
		}
		if strings.ContainsFunc(f.value, func(r rune) bool { return unicode.Is(unicode.Cf, r) || unicode.IsControl(r) && r != '\n' }) {
			return &Invalid{Field: f.name, Code: "malformed", Err: errors.New("it has characters that nobody sees")}
		}
	}
	if o.Tel != "" && contact.Dial(o.Tel) == "" {
		return &Invalid{Field: "tel", Code: "malformed", Err: errors.New("nobody could dial it")}
	}
	if o.Mail != "" && !contact.MailForm(o.Mail) {
		return &Invalid{Field: "mail", Code: "malformed", Err: errors.New("it is no mail address")}
	}
	if u, err := url.Parse(o.URL); o.URL != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "") {
		return &Invalid{Field: "url", Code: "malformed", Err: errors.New("it is no web address")}
	}
	if o.WithinHours < 0 || o.WithinHours > maxWithin || o.WithinHours > 0 && !o.Kind.HasHours() {
		return &Invalid{Field: "within_hours", Code: "range", Err: fmt.Errorf("%d hours", o.WithinHours)}
	}
	return nil
}

// SaveContact adds a contact when its identifier is empty, else it makes the next version
// of it; saving one as it is says that somebody looked through it. It returns what was
// stored.
func (s *Acts) SaveContact(ctx context.Context, a Actor, o contact.Own) (contact.Own, error) {
	for _, f := range []*string{&o.Name, &o.Person, &o.Tel, &o.Mail, &o.URL, &o.Hours, &o.Reference, &o.Note} {
		*f = strings.TrimSpace(*f)
	}
	if err := checkContact(o); err != nil {
		return o, err
	}
	err := s.write(ctx, a, mayKeepContacts, func(ctx context.Context, d *deed) error {
		before := contact.Own{}
		if o.ID == "" {
			all, err := contact.List(ctx, d.tx, d.actor.OrganisationID)
			if err != nil {
				return err
			}
			if len(all) >= contact.MaxOwn {
				return &Invalid{Field: "name", Code: "range", Err: fmt.Errorf("there are %d contacts", len(all))}
			}
			o.ID = id.New(id.Contact)
		} else {
			var err error
			if before, err = contact.Find(ctx, d.tx, d.actor.OrganisationID, o.ID); err != nil {
				return err
			}
		}
		o.Removed = false
		return s.addContact(ctx, d, before.Version+1, &o)
	})
	return o, err
}

// RemoveContact takes a contact from the list; its versions stay.
func (s *Acts) RemoveContact(ctx context.Context, a Actor, contactID string) error {
	return s.write(ctx, a, mayKeepContacts, func(ctx context.Context, d *deed) error {
		o, err := contact.Find(ctx, d.tx, d.actor.OrganisationID, contactID)
		if err != nil {
			return err
		}
		o.Removed = true
		return s.addContact(ctx, d, o.Version+1, &o)
	})
}

func (s *Acts) addContact(ctx context.Context, d *deed, version int64, o *contact.Own) (err error) {
	o.Version, o.OrganisationID, o.At, o.ActorName = version, d.actor.OrganisationID, d.now.UTC().Round(0), d.actor.Name
	if o.LedgerIdx, err = d.record(ctx, o.Act(), o.ID, o.Details()); err != nil {
		return err
	}
	return contact.Add(ctx, d.tx, *o)
}
