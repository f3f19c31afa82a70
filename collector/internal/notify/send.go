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

	"github.com/wneessen/go-mail"

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

	mu   sync.Mutex
	busy map[string]bool // channels that are at it, and whether something came meanwhile
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
		texts: texts, now: cfg.Now, log: cfg.Log, poke: make(chan struct{}, 1), busy: map[string]bool{}}, nil
}

// How often is looked for what waits, and how much goes out by one channel at a time.
const (
	sendTick  = 15 * time.Second
	sendAtOne = 100
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

// Run sends what waits until ctx ends. Each channel goes on by itself: one that does not
// answer holds up no other one.
func (s *Sender) Run(ctx context.Context) {
	var under sync.WaitGroup
	defer under.Wait()
	for {
		if err := s.start(ctx, &under, func(err error) {
			if ctx.Err() == nil {
				s.log.ErrorContext(ctx, "notices of a channel are not sent", slog.Any("error", err))
			}
		}); err != nil && ctx.Err() == nil {
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

// Look tries once all that is due, and waits for it.
func (s *Sender) Look(ctx context.Context) error {
	var under sync.WaitGroup
	var mu sync.Mutex
	var wrong []error
	err := s.start(ctx, &under, func(err error) {
		mu.Lock()
		defer mu.Unlock()
		wrong = append(wrong, err)
	})
	under.Wait()
	return errors.Join(append(wrong, err)...)
}

// start begins with every channel for which something is due, but those that are at it.
func (s *Sender) start(ctx context.Context, under *sync.WaitGroup, wrong func(error)) error {
	ids, err := dueChannels(ctx, s.db.Read(), s.now())
	if err != nil || len(ids) == 0 {
		return err
	}
	for _, id := range ids {
		if !s.begin(id) {
			continue
		}
		under.Go(func() {
			defer s.end(id)
			if err := s.channel(ctx, id); err != nil {
				wrong(err)
			}
		})
	}
	return s.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error { return forget(ctx, tx, s.now()) })
}

// begin reports whether nobody is at a channel, and is from then on.
func (s *Sender) begin(channelID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, at := s.busy[channelID]; at {
		s.busy[channelID] = true
		return false
	}
	s.busy[channelID] = false
	return true
}

func (s *Sender) end(channelID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[channelID] {
		s.Poke()
	}
	delete(s.busy, channelID)
}

// channel sends what waits for one channel.
func (s *Sender) channel(ctx context.Context, id string) error {
	list, err := due(ctx, s.db.Read(), id, s.now(), sendAtOne)
	if err != nil {
		return err
	}
	c, err := ChannelByID(ctx, s.db.Read(), id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	gone := err != nil
	for _, d := range list {
		dead := false
		switch {
		case gone || !c.Enabled && d.Event.Kind != Test:
			d.State, d.EndedAt, d.Detail = Dropped, s.now(), "the channel was switched off or removed"
		default:
			dead = s.try(ctx, c, &d)
		}
		if ctx.Err() != nil {
			return ctx.Err() // the collector stops; nothing was the channel's fault
		}
		if err := s.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			if err := settle(ctx, tx, d); err != nil || !dead {
				return err
			}
			return putOff(ctx, tx, id, s.now(), s.now().Add(waits()[0]))
		}); err != nil {
			return err
		}
		if dead {
			return nil // nobody answers there: the others need not find that out one by one
		}
	}
	return nil
}

// try sends one delivery and writes into it what came of it. dead means that the channel
// gave no answer at all, so that others would get none either.
func (s *Sender) try(ctx context.Context, c Channel, d *Delivery) (dead bool) {
	err := s.Send(ctx, c, *d)
	now := s.now()
	d.Tries++
	if err == nil {
		d.State, d.EndedAt, d.Detail = Sent, now, ""
		return false
	}
	d.Detail = oneLine(err)
	answer, said := errors.AsType[*refused](err)
	_, mailed := errors.AsType[*mail.SendError](err) // the server was there, and did not take it
	dead = !said && !mailed
	if d.Tries > len(waits()) || said && answer.final() || errors.Is(err, ErrInside) || d.Event.Kind == Test {
		d.State, d.EndedAt = Failed, now
		return dead
	}
	d.NextAt = now.Add(waits()[d.Tries-1])
	return dead
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
