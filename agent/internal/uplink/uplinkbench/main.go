// Command uplinkbench is a simulated agent for the benchmark: the shipped uplink,
// journal and spool with a certificate and a connection of its own, and commands that
// are done as soon as they are kept. It is run by hozen-bench, which cannot import
// them, and is not shipped. It knows nothing of what is measured.
//
// Usage: uplinkbench -state DIR, where "hozen-agent enroll --state DIR" has been, or
// uplinkbench -crowd N -failing K -state DIR for many agents of which K carry no order
// to isolate out. Each line of standard input is an order, and is answered by one line
// of standard output when it is done:
//
//	fill N BYTES   seal N acquisitions of about so many stored bytes each
//	go             keep a session with the collector
//	stop           end the session; answers with the number of acquisitions that wait
//
//	enrol TOKEN    of a crowd: enrol everybody
//	go, stop       likewise, all of them
//	arm            forget what was done so far
//	await VERB     wait until everybody who does not fail has carried a VERB out, and has
//	               heard that the collector keeps the result; answers with a JSON object
//
// The end of standard input ends the program.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/identity"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/spool"
	"hozen/agent/internal/uplink"
	"hozen/agent/internal/uplink/journal"
	"hozen/internal/artifact"
	"hozen/internal/envelope"
	"hozen/internal/sched"
)

func main() {
	sched.Prepare() // as the agent does
	if err := run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "uplinkbench:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out, note io.Writer) error {
	flags := flag.NewFlagSet("uplinkbench", flag.ContinueOnError)
	flags.SetOutput(note)
	state := flags.String("state", "", "`folder` of an enrolled agent, or of a crowd")
	many := flags.Int("crowd", 0, "so many agents")
	failing := flags.Int("failing", 0, "so many of them fail or hang")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var a interface {
		obey(ctx context.Context, line string) (string, error)
		close()
	}
	var err error
	if *many > 0 {
		a, err = newCrowd(*state, *many, *failing, slog.New(slog.NewTextHandler(note, &slog.HandlerOptions{Level: slog.LevelWarn})))
	} else {
		a, err = open(*state, slog.New(slog.NewTextHandler(note, nil)))
	}
	if err != nil {
		return err
	}
	defer a.close()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		answer, err := a.obey(context.Background(), lines.Text())
		if err != nil {
			return fmt.Errorf("%s: %w", lines.Text(), err)
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return err
		}
	}
	return nil
}

// agent is what is simulated.
type agent struct {
	state    string
	identity *identity.Store
	spool    *spool.Spool
	journal  *journal.Journal
	log      *slog.Logger
	text     func() []byte
	keys     *keys
	stop     func() error // ends the session; nil without one
}

func open(state string, log *slog.Logger) (*agent, error) {
	ids, err := identity.Open(filepath.Join(state, "identity"))
	if err != nil {
		return nil, err
	}
	// Evidence goes as soon as there is a receipt: its bytes are many and worth nothing.
	k := &keys{}
	s, err := spool.Open(spool.Config{Dir: filepath.Join(state, "spool"), MaxBytes: 1 << 40, KeepAfterReceipt: -1, Wrap: k.wrap, Log: log})
	if err != nil {
		return nil, err
	}
	j, err := journal.Open(journal.Config{Path: filepath.Join(state, "journal", "journal"), Log: log})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &agent{state: state, identity: ids, spool: s, journal: j, log: log, text: randomText(), keys: k}, nil
}

func (a *agent) close() {
	if a.stop != nil {
		_ = a.stop() // the program ends
	}
	_ = errors.Join(a.journal.Close(), a.spool.Close()) // likewise
}

// obey carries one line of standard input out.
func (a *agent) obey(ctx context.Context, line string) (string, error) {
	var n int
	var size int64
	if _, err := fmt.Sscanf(line, "fill %d %d", &n, &size); err == nil {
		return "filled", a.fill(ctx, n, size)
	}
	switch line {
	case "go":
		return "going", a.connect(ctx)
	case "stop":
		if a.stop == nil {
			return "", errors.New("there is no session")
		}
		err := a.stop()
		a.stop = nil
		waiting := 0
		for _, i := range a.spool.List() {
			if i.State == spool.Sealed {
				waiting++
			}
		}
		return strconv.Itoa(waiting), err
	}
	return "", errors.New("not an order")
}

// fill seals n acquisitions of about size stored bytes each, no two with the same bytes.
func (a *agent) fill(ctx context.Context, n int, size int64) error {
	if err := a.learnKeys(ctx); err != nil {
		return err
	}
	signer := func() (acquire.Identity, error) {
		e, err := a.identity.Enrolment()
		if err != nil {
			return acquire.Identity{}, err
		}
		s, err := a.identity.Signer()
		return acquire.Identity{EndpointID: e.EndpointID, Signer: s}, err
	}
	plan := acquire.Plan{Profile: "flash", Probes: []acquire.Planned{{New: func() probe.Probe { return bulk{size, a.text} }, Budget: time.Hour}}}
	r := acquire.NewRunner(acquire.Config{
		Sink: a.spool, Plan: func(string) (acquire.Plan, error) { return plan, nil }, Identity: signer, Log: a.log,
	})
	for range n {
		res, err := r.Run(ctx, acquire.Order{Trigger: artifact.TriggerManual, Profile: plan.Profile})
		if err != nil {
			return err
		}
		if res.Manifest.Outcome != artifact.Complete {
			return fmt.Errorf("the acquisition ended as %s", res.Manifest.Outcome)
		}
	}
	return nil
}

// connect keeps a session in the background until a.stop.
func (a *agent) connect(ctx context.Context) error {
	if a.stop != nil {
		return errors.New("there is a session already")
	}
	u, err := uplink.New(uplink.Config{
		Identity: a.identity, Spool: a.spool, Journal: a.journal, Handler: done{}, RoutesFile: filepath.Join(a.state, "routes"), Log: a.log,
		Host:       func() uplink.Host { return uplink.Host{Hostname: "bench", OS: "linux", Arch: "amd64", BootID: "bench"} },
		Isolation:  func(context.Context) journal.Isolation { return released() },
		Configure:  a.keys.hear,
		MinBackoff: 20 * time.Millisecond, MaxBackoff: time.Second,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- u.Run(ctx) }()
	a.stop = func() error {
		cancel()
		return <-ended
	}
	return nil
}

// learnKeys asks the collector, once, to what evidence is encrypted while it waits.
func (a *agent) learnKeys(ctx context.Context) error {
	if a.keys.known() {
		return nil
	}
	if err := a.connect(ctx); err != nil {
		return err
	}
	defer func() { _, a.stop = a.stop(), nil }() // it ends because it is told to
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for end := time.Now().Add(time.Minute); !a.keys.known(); <-look.C {
		if time.Now().After(end) {
			return errors.New("the collector named no key")
		}
	}
	return nil
}

// keys are those of the collector, to which evidence is encrypted while it waits.
type keys struct {
	mu sync.Mutex
	to []envelope.Recipient
}

func (k *keys) hear(c uplink.Configure) {
	var to []envelope.Recipient
	for _, text := range c.Recipients {
		if r, err := envelope.ParseRecipient(text); err == nil {
			to = append(to, r)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.to = to
}

func (k *keys) now() []envelope.Recipient {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.to
}

func (k *keys) known() bool { return len(k.now()) > 0 }

func (k *keys) wrap() func(io.Writer) (io.WriteCloser, error) {
	to := k.now()
	if len(to) == 0 {
		return nil
	}
	return func(w io.Writer) (io.WriteCloser, error) { return envelope.Seal(w, to...) }
}

func released() journal.Isolation {
	return journal.Isolation{Desired: journal.StateReleased, Observed: journal.StateReleased, MeasuredAt: time.Now()}
}

// done carries commands out by doing nothing.
type done struct{}

func (done) Acquire(context.Context, journal.Command) journal.Result {
	return journal.Result{Status: journal.Done}
}

func (done) Isolate(context.Context, journal.Command) journal.Result {
	i := released()
	return journal.Result{Status: journal.Done, Isolation: &i}
}

func (d done) Preserve(ctx context.Context, c journal.Command) journal.Result {
	return d.Acquire(ctx, c)
}

func (d done) Release(ctx context.Context, c journal.Command) journal.Result {
	return d.Isolate(ctx, c)
}
