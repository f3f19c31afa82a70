// Package winpower hears from Windows that the PC goes down, sleeps or loses a session,
// and has it go down. It knows nothing of what is kept before, nor of Windows' functions,
// which its caller hands in.
package winpower

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"hozen/agent/internal/logind"
	"hozen/agent/internal/osservice"
	"hozen/agent/internal/shutdown"
	"hozen/internal/artifact/record"
	"hozen/internal/winapi/evt"
)

// waiting is how many notices may wait; each is one step of a PC that goes down.
const waiting = 16

// Config is the manual of a Client.
type Config struct {
	// Watch calls told with every shutdown that somebody asks for or takes back, until
	// ctx ends. Optional.
	Watch func(ctx context.Context, told func(evt.Shutdown)) error
	// Down has the PC go down in the orderly way.
	Down func(reboot bool) error
	// Allowed is how long Windows waits for the service before it goes down.
	Allowed time.Duration
	// Log hears, once, that shutdowns are not told. Optional.
	Log *slog.Logger
}

// Client hears what Windows tells.
type Client struct {
	cfg    Config
	events chan shutdown.Notice
}

// New returns a Client.
func New(cfg Config) *Client {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Client{cfg, make(chan shutdown.Notice, waiting)}
}

// Run hears of shutdowns until ctx ends.
func (c *Client) Run(ctx context.Context) error {
	if c.cfg.Watch == nil {
		<-ctx.Done()
		return nil
	}
	err := c.cfg.Watch(ctx, func(s evt.Shutdown) {
		n := noticeOf(s)
		c.cfg.Log.InfoContext(ctx, "the event log tells of a shutdown", slog.String("event", n.Event), slog.String("type", n.Type))
		c.tell(n)
	})
	if ctx.Err() == nil {
		what := "the event log does not tell who asks for a shutdown; the sessions and the service manager do tell of it"
		if errors.Is(err, errors.ErrUnsupported) {
			c.cfg.Log.InfoContext(ctx, what, slog.Any("error", err))
		} else {
			c.cfg.Log.WarnContext(ctx, what, slog.Any("error", err))
		}
		<-ctx.Done()
	}
	return nil
}

// Heard hands on what the service manager told. It returns at once.
func (c *Client) Heard(h osservice.Heard) {
	event, ok := map[osservice.Heard]string{
		osservice.HeardLogoff: shutdown.Logoff, osservice.HeardSuspend: shutdown.Sleep, osservice.HeardResumed: shutdown.Resumed,
	}[h]
	if ok {
		c.tell(Notice(event, shutdown.SourceService))
	}
}

func (c *Client) tell(n shutdown.Notice) {
	select {
	case c.events <- n:
	default:
		c.cfg.Log.Warn("a word of the system is lost: too many at once", slog.String("event", n.Event))
	}
}

// Events returns what was heard.
func (c *Client) Events() <-chan shutdown.Notice { return c.events }

// Release does nothing: Windows waits until the service has stopped, which the service
// itself does.
func (*Client) Release() {}

// Allowed is how long the service may take.
func (c *Client) Allowed() time.Duration { return c.cfg.Allowed }

// PowerOff has the PC switch off, Reboot start anew. Windows knows no locks of others;
// programs are ended in both cases.
func (c *Client) PowerOff(context.Context, logind.Locks) error { return c.cfg.Down(false) }

// Reboot is PowerOff with a new start.
func (c *Client) Reboot(context.Context, logind.Locks) error { return c.cfg.Down(true) }

// Notice is a notice of this moment.
func Notice(event, source string) shutdown.Notice {
	return shutdown.Notice{Received: time.Now(), ShutdownNotice: record.ShutdownNotice{Event: event, Source: source, ByUID: record.Unknown}}
}

// noticeOf is what an event of the log means.
func noticeOf(s evt.Shutdown) shutdown.Notice {
	n := Notice(shutdown.Down, shutdown.SourceEventLog)
	if s.Cancelled {
		n.Event = shutdown.Cancelled
	}
	n.Type = s.Type
	return n
}
