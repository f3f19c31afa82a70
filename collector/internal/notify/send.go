package notify

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"hozen/collector/internal/sqldb"
	"hozen/internal/i18n"
)

// Config is what a [Sender] needs.
type Config struct {
	// DB is where deliveries wait. Required.
	DB *sqldb.DB
	// Open reads what a channel keeps sealed, for the channel's identifier. Required.
	Open func(channelID, sealed string) ([]byte, error)
	// Base is the address of the console for links, by organisation. Optional: without it
	// messages have none.
	Base func(ctx context.Context, organisationID string) (string, error)
	// Lookup finds the addresses of a host name. Optional; default the system's resolver.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Dial connects to an address that was checked, "ip:port". Optional; default [net.Dialer].
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Roots are the authorities whose certificates are believed. Optional; default the system's.
	Roots *x509.CertPool
	// Now is the clock. Optional; default time.Now.
	Now func() time.Time
	// Log hears of faults that are not a channel's own. Optional; default discards.
	Log *slog.Logger
}

// Sender sends what waits. It is safe for concurrent use.
type Sender struct {
	db    *sqldb.DB
	open  func(channelID, sealed string) ([]byte, error)
	base  func(ctx context.Context, organisationID string) (string, error)
	guard guard
	roots *x509.CertPool
	texts i18n.Catalogue
	now   func() time.Time
	log   *slog.Logger
	poke  chan struct{}
}

// NewSender returns a sender.
func NewSender(cfg Config) (*Sender, error) {
	if cfg.DB == nil || cfg.Open == nil {
		return nil, errors.New("make sender: DB and Open are required")
	}
	if cfg.Base == nil {
		cfg.Base = func(context.Context, string) (string, error) { return "", nil }
	}
	if cfg.Lookup == nil {
		cfg.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	texts, err := Texts()
	if err != nil {
		return nil, fmt.Errorf("make sender: %w", err)
	}
	return &Sender{db: cfg.DB, open: cfg.Open, base: cfg.Base, guard: guard{lookup: cfg.Lookup, dial: cfg.Dial}, roots: cfg.Roots,
		texts: texts, now: cfg.Now, log: cfg.Log, poke: make(chan struct{}, 1)}, nil
}

// How often is looked for what waits, and how much goes out at a time.
const (
	sendTick  = 15 * time.Second
	sendAtOne = 200
)

// waits are the times between tries; after the last one it is given up.
func waits() []time.Duration {
	return []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour}
}

// Poke has the sender look at once.
func (s *Sender) Poke() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// Run sends what waits until ctx ends.
func (s *Sender) Run(ctx context.Context) {
	for {
		if err := s.Look(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "notices are not sent", slog.Any("error", err))
		}
		timer := time.NewTimer(sendTick)
		select {
		case <-ctx.Done():
		case <-s.poke:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// Look tries once all that is due. Channels do not wait for each other.
func (s *Sender) Look(ctx context.Context) error {
	list, err := due(ctx, s.db.Read(), s.now(), sendAtOne)
	if err != nil || len(list) == 0 {
		return err
	}
	by := map[string][]Delivery{}
	for _, d := range list {
		by[d.ChannelID] = append(by[d.ChannelID], d)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var wrong []error
	for id, some := range by {
		wg.Go(func() {
			if err := s.channel(ctx, id, some); err != nil {
				mu.Lock()
				defer mu.Unlock()
				wrong = append(wrong, err)
			}
		})
	}
	wg.Wait()
	err = s.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error { return forget(ctx, tx, s.now()) })
	return errors.Join(append(wrong, err)...)
}

// channel sends what waits for one channel.
func (s *Sender) channel(ctx context.Context, id string, list []Delivery) error {
	c, err := ChannelByID(ctx, s.db.Read(), id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	gone := err != nil
	for _, d := range list {
		switch {
		case gone || !c.Enabled && d.Event.Kind != Test:
			d.State, d.EndedAt, d.Detail = Dropped, s.now(), "the channel was switched off or removed"
		default:
			s.try(ctx, c, &d)
		}
		if ctx.Err() != nil {
			return ctx.Err() // the collector stops; nothing was the channel's fault
		}
		if err := s.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error { return settle(ctx, tx, d) }); err != nil {
			return err
		}
	}
	return nil
}

// try sends one delivery and writes into it what came of it.
func (s *Sender) try(ctx context.Context, c Channel, d *Delivery) {
	err := s.Send(ctx, c, *d)
	now := s.now()
	d.Tries++
	if err == nil {
		d.State, d.EndedAt, d.Detail = Sent, now, ""
		return
	}
	d.Detail = oneLine(err)
	answer, said := errors.AsType[*refused](err)
	if d.Tries > len(waits()) || said && answer.final() || errors.Is(err, ErrInside) || d.Event.Kind == Test {
		d.State, d.EndedAt = Failed, now
		return
	}
	d.NextAt = now.Add(waits()[d.Tries-1])
}

// Send sends one delivery now, whatever the database says of it.
func (s *Sender) Send(ctx context.Context, c Channel, d Delivery) error {
	secret, err := s.secret(c)
	if err != nil {
		return err
	}
	base, err := s.base(ctx, c.OrganisationID)
	if err != nil {
		return err
	}
	l, ok := i18n.Parse(c.Language)
	if !ok {
		l = i18n.Japanese
	}
	m := Words(s.texts.Printer(l), d.Event, base)
	if c.Kind == Mail {
		return s.sendMail(ctx, c, secret.Password, d, m)
	}
	r, err := request(ctx, c, secret, d, m, s.now())
	if err != nil {
		return fmt.Errorf("make request: %w", withoutURL(err))
	}
	return s.post(r, c.Settings.Inside && c.Kind == Webhook)
}

func (s *Sender) secret(c Channel) (Secret, error) {
	var secret Secret
	if c.Sealed == "" {
		return secret, nil
	}
	b, err := s.open(c.ID, c.Sealed)
	if err != nil {
		return secret, fmt.Errorf("read the secret of the channel (it must be entered again): %w", err)
	}
	if err := json.Unmarshal(b, &secret); err != nil {
		return secret, errors.New("read the secret of the channel: it is malformed")
	}
	return secret, nil
}
