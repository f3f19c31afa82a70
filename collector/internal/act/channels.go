package act

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"hozen/collector/internal/notify"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/sqldb"
	"hozen/internal/id"
)

// NewChannel is what [Acts.SaveChannel] needs.
type NewChannel struct {
	ID       string // empty: a new one
	Kind     notify.ChannelKind
	Name     string
	Language string
	Settings notify.Settings
	// Secret replaces what is not empty; the rest stays as it is. Key is never taken.
	Secret notify.Secret
	// NewKey makes a new key for the signature of a webhook. A new webhook gets one anyway.
	NewKey  bool
	Kinds   []notify.Kind
	Enabled bool
}

func channelThing(channelID string) string { return "channel " + channelID }

func (s *Acts) channelSecret(channelID, sealed string) ([]byte, error) {
	return s.secrets.Open(channelThing(channelID), sealed)
}

func (s *Acts) consoleURL(ctx context.Context, organisationID string) (string, error) {
	p, err := organisation.FindPeople(ctx, s.db.Read(), organisationID)
	return p.ConsoleURL, err
}

// Channels lists by what the actor's organisation tells people. Secrets stay sealed.
func (s *Acts) Channels(ctx context.Context, a Actor) ([]notify.Channel, error) {
	return read(ctx, s, a, mayNotify, func(q sqldb.Queryer, a Actor) ([]notify.Channel, error) {
		return notify.Channels(ctx, q, a.OrganisationID)
	})
}

// Channel finds one channel.
func (s *Acts) Channel(ctx context.Context, a Actor, channelID string) (notify.Channel, error) {
	return read(ctx, s, a, mayNotify, func(q sqldb.Queryer, a Actor) (notify.Channel, error) {
		c, err := notify.ChannelByID(ctx, q, channelID)
		if err == nil {
			err = a.own(c.OrganisationID)
		}
		if err != nil {
			return notify.Channel{}, err
		}
		return c, nil
	})
}

// Deliveries lists what was sent, newest first.
func (s *Acts) Deliveries(ctx context.Context, a Actor, n int) ([]notify.Delivery, error) {
	return read(ctx, s, a, mayNotify, func(q sqldb.Queryer, a Actor) ([]notify.Delivery, error) {
		return notify.Newest(ctx, q, a.OrganisationID, limit(n))
	})
}

// SaveChannel stores a channel, new or known. key is that of a webhook's signature when it
// was made just now: it is shown once. That a host may lie in a network of one's own is for
// owners to say.
func (s *Acts) SaveChannel(ctx context.Context, a Actor, n NewChannel) (c notify.Channel, key string, err error) {
	err = s.write(ctx, a, mayNotify, func(ctx context.Context, d *deed) error {
		secret := notify.Secret{}
		if n.ID == "" {
			all, err := notify.Channels(ctx, d.tx, d.actor.OrganisationID)
			if err != nil {
				return err
			}
			if len(all) >= notify.MaxChannels {
				return &Invalid{Field: "name", Code: "too_many", Err: fmt.Errorf("at most %d channels", notify.MaxChannels)}
			}
			c = notify.Channel{ID: id.New(id.Channel), OrganisationID: d.actor.OrganisationID, Kind: n.Kind, CreatedAt: d.now}
		} else if c, secret, err = s.channel(ctx, d, n.ID); err != nil {
			return err
		}
		was := c.Settings
		c.Name, c.Language, c.Settings, c.Kinds, c.Enabled, c.ChangedAt = strings.TrimSpace(n.Name), n.Language, n.Settings, n.Kinds, n.Enabled, d.now
		key = ""
		if c.Kind == notify.Webhook && (n.NewKey || secret.Key == "") {
			key = rand.Text() + rand.Text()
			secret.Key = key
		}
		moved := c.Kind == notify.Mail && (was.Host != c.Settings.Host || was.User != c.Settings.User || was.Security != c.Settings.Security)
		if moved && n.ID != "" {
			secret.Password = "" // never shown to a server that it was not given for
		}
		replace(&secret.URL, n.Secret.URL)
		replace(&secret.Password, n.Secret.Password)
		replace(&secret.Token, n.Secret.Token)
		if c.Kind == notify.Mail && c.Settings.User == "" {
			secret.Password = ""
		}
		if field, err := notify.CheckChannel(c, secret); err != nil {
			return &Invalid{Field: field, Code: "malformed", Err: err}
		}
		if c.Kind == notify.Mail && c.Settings.User != "" && secret.Password == "" {
			return &Invalid{Field: "password", Code: "required", Err: errors.New("who signs in needs a password")}
		}
		if c.Settings.Inside && (!was.Inside || was.Host != c.Settings.Host || n.Secret.URL != "") && d.actor.Role != operator.Owner {
			return &Invalid{Field: "inside", Code: "owner", Err: errors.New("only an owner lets a channel into the own network")}
		}
		b, err := json.Marshal(secret)
		if err != nil {
			return fmt.Errorf("encode secret of channel: %w", err)
		}
		if c.Sealed, err = s.secrets.Seal(channelThing(c.ID), b); err != nil {
			return err
		}
		if err := notify.SaveChannel(ctx, d.tx, c); err != nil {
			return err
		}
		facts, err := c.Details()
		if err != nil {
			return err
		}
		_, err = d.record(ctx, notify.ActChannel, c.ID, facts)
		return err
	})
	if err != nil {
		return notify.Channel{}, "", err
	}
	return c, key, nil
}

func replace(old *string, fresh string) {
	if fresh != "" {
		*old = fresh
	}
}

// channel finds a channel of the actor's organisation and what it keeps sealed. A secret
// that can't be read any more counts as none.
func (s *Acts) channel(ctx context.Context, d *deed, channelID string) (notify.Channel, notify.Secret, error) {
	var secret notify.Secret
	c, err := notify.ChannelByID(ctx, d.tx, channelID)
	if err == nil {
		err = d.actor.own(c.OrganisationID)
	}
	if err != nil {
		return c, secret, err
	}
	b, err := s.channelSecret(c.ID, c.Sealed)
	if err != nil {
		return c, secret, nil
	}
	return c, secret, json.Unmarshal(b, &secret)
}

// RemoveChannel takes a channel away with its secret.
func (s *Acts) RemoveChannel(ctx context.Context, a Actor, channelID string) error {
	return s.write(ctx, a, mayNotify, func(ctx context.Context, d *deed) error {
		c, _, err := s.channel(ctx, d, channelID)
		if err != nil {
			return err
		}
		if err := notify.RemoveChannel(ctx, d.tx, c.ID, d.now); err != nil {
			return err
		}
		_, err = d.record(ctx, notify.ActRemove, c.ID, map[string]string{"kind": string(c.Kind), "name": c.Name})
		return err
	})
}

// TestChannel sends a test by a channel, one that is switched off too. What came of it
// stands in [Acts.Deliveries]; it is tried once.
func (s *Acts) TestChannel(ctx context.Context, a Actor, channelID string) error {
	err := s.write(ctx, a, mayNotify, func(ctx context.Context, d *deed) error {
		c, _, err := s.channel(ctx, d, channelID)
		if err != nil {
			return err
		}
		people, err := operator.Addresses(ctx, d.tx, c.OrganisationID)
		if err != nil {
			return err
		}
		n, err := notify.PutOn(ctx, d.tx, c, notify.Event{OrganisationID: c.OrganisationID, Kind: notify.Test, Path: "/settings/notifications", At: d.now}, people)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: nobody gave an address", ErrConflict)
		}
		_, err = d.record(ctx, "notify.test", c.ID, map[string]string{"kind": string(c.Kind), "name": c.Name})
		return err
	})
	if err == nil && s.sender != nil {
		s.sender.Poke()
	}
	return err
}
