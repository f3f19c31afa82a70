package shutdown

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"hozen/internal/bench"
	"hozen/internal/bench/fakelogind"
	"hozen/internal/bench/program"
)

// The least that a turn's evidence has: the scene of the measuring program.
const (
	leastProcesses = 300
	leastSockets   = 500
)

// patience is how long one turn may take, whatever hangs.
const patience = time.Minute

// turn is what the measuring program says of one shutdown, times on CLOCK_MONOTONIC.
type turn struct {
	FirstArtifactAt int64  `json:"first_artifact_at"`
	SealedAt        int64  `json:"sealed_at"`
	HeldNS          int64  `json:"held_ns"`
	Outcome         string `json:"outcome"`
	Processes       int64  `json:"processes"`
	Sockets         int64  `json:"sockets"`
	Missing         string `json:"missing"`
	BareNS          int64  `json:"bare_ns"`
}

// whole reports whether the evidence has all processes and sockets of the scene.
func (t turn) whole() bool { return t.Processes >= leastProcesses && t.Sockets >= leastSockets }

// service is a private bus with a login service.
type service struct {
	bus    *fakelogind.Bus
	logind *fakelogind.Logind
}

func newService(ctx context.Context, dir string) (*service, error) {
	bus, err := fakelogind.StartBus(ctx, dir)
	if err != nil {
		return nil, err
	}
	l, err := fakelogind.Start(bus.Address(), allowed)
	if err != nil {
		bus.Close()
		return nil, err
	}
	return &service{bus, l}, nil
}

func (s *service) close() error {
	err := s.logind.Close()
	s.bus.Close()
	return err
}

// Turns has the PC of a scene of its own go down again and again: 300 processes and 500
// sockets in PID, network and mount namespaces, so that every machine captures the same.
// Times begin when the login service's signal leaves and end, for the lock, when its pipe
// hangs up. It needs root, Go, and to be called inside the module.
func Turns(ctx context.Context, c Config) (err error) {
	rounds := 200
	if c.Quick {
		rounds = 50
	}
	bin, err := program.Build(ctx, c.Dir, measuring)
	if err != nil {
		return err
	}
	s, err := newService(ctx, c.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	work := filepath.Join(c.Dir, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	p, err := start(ctx, c.Note, bin, "plan", "-bus", s.bus.Address(), "-dir", work)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.end()) }()
	said := json.NewDecoder(p.out)
	var t turn
	if err := said.Decode(&t); err != nil {
		return fmt.Errorf("hear from the agent's side: %w", err)
	}
	var first, bare, sealed, released, unseen []time.Duration
	outcomes, whole := map[string]int{}, 0
	for range rounds {
		went, sent, err := s.down(ctx)
		if err != nil {
			return err
		}
		if err := said.Decode(&t); err != nil {
			return fmt.Errorf("hear of a shutdown: %w", err)
		}
		if t.BareNS <= 0 {
			return errors.New("the bare operation took no time")
		}
		if t.whole() {
			whole++
		} else {
			fmt.Fprintf(c.Note, "hozen-bench: evidence of a shutdown has %d processes and %d sockets: %s\n", t.Processes, t.Sockets, t.Missing)
		}
		took := went.Released.Sub(went.Sent)
		outcomes[t.Outcome]++
		first, bare = append(first, time.Duration(t.FirstArtifactAt-sent)), append(bare, time.Duration(t.BareNS))
		sealed, released = append(sealed, time.Duration(t.SealedAt-sent)), append(released, took)
		unseen = append(unseen, took-time.Duration(t.HeldNS))
	}
	fmt.Fprintln(c.Note, "hozen-bench: outcomes of", rounds, "shutdowns:", outcomes)
	c.Print(bench.Figure{Name: "shutdown.evidence.whole", Value: float64(whole), Unit: fmt.Sprintf("of %d", rounds), Bar: bench.AtLeast(wholeBar * float64(rounds))})
	c.Print(bench.Figure{Name: "shutdown.first_artifact", Value: medianRatio(first, bare), Unit: "ratio", Bar: bench.AtMost(artifactBar)})
	percentiles(c.Print, "shutdown.first_artifact", first, bench.Bar{})
	c.Print(bench.Figure{Name: "shutdown.first_artifact.bare.ms", Value: bench.Milliseconds(bench.Percentile(bare, 0.5)), Unit: "ms"})
	percentiles(c.Print, "shutdown.sealed", sealed, bench.Bar{})
	percentiles(c.Print, "shutdown.released", released, bench.AtMost(delayBar))
	c.Print(bench.Figure{Name: "shutdown.released.unseen.ms", Value: bench.Milliseconds(bench.Percentile(unseen, 0.5)), Unit: "ms"}) // that the record leaves out: the signal's way
	return nil
}

// down is one shutdown that is taken back; sent is when its signal left, on
// CLOCK_MONOTONIC in ns.
func (s *service) down(ctx context.Context) (went fakelogind.Went, sent int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if went, err = s.logind.GoDown(ctx, "poweroff"); err != nil {
		return went, 0, err
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return went, 0, fmt.Errorf("read clock: %w", err)
	}
	return went, now.Nano() - int64(time.Since(went.Sent)), s.logind.Stay()
}
