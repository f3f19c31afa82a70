package shutdown

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"hozen/internal/bench"
	"hozen/internal/bench/program"
)

// stormWorkers start processes at the same time.
const stormWorkers = 4

// Storm starts 3,000 short processes (1,000 when it must be quick) with the flight recorder
// running and without, in turns. It needs root in the initial namespaces, where alone the
// kernel tells of processes, Go, and to be called inside the module.
func Storm(ctx context.Context, c Config) (err error) {
	pairs, starts := 7, 3000
	if c.Quick {
		pairs, starts = 5, 1000
	}
	short, err := exec.LookPath("true")
	if err != nil {
		return fmt.Errorf("find a short program: %w", err)
	}
	bin, err := program.Build(ctx, c.Dir, measuring)
	if err != nil {
		return err
	}
	p, err := start(ctx, c.Note, bin, "recorder", "-dir", c.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.end()) }()
	r := switched{p.in, json.NewDecoder(p.out)}
	var with, without []time.Duration
	for i := range pairs + 1 {
		var took [2]time.Duration
		for k := range took {
			on := (k+i)%2 == 1
			if took[btoi(on)], err = r.storm(on, short, starts); err != nil {
				return err
			}
		}
		if i > 0 { // the first pair fills caches
			without, with = append(without, took[0]), append(with, took[1])
		}
	}
	c.Print(bench.Figure{Name: "shutdown.recorder.storm", Value: medianRatio(with, without), Unit: "ratio", Bar: bench.AtMost(stormBar)})
	c.Print(bench.Figure{Name: "shutdown.recorder.storm.ms", Value: bench.Milliseconds(bench.Percentile(with, 0.5)), Unit: "ms"})
	c.Print(bench.Figure{Name: "shutdown.recorder.storm.bare.ms", Value: bench.Milliseconds(bench.Percentile(without, 0.5)), Unit: "ms"})
	return nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// switched is a recorder that is told when to record.
type switched struct {
	orders io.Writer
	said   *json.Decoder
}

func (s switched) order(what string) (done recorded, err error) {
	if _, err = io.WriteString(s.orders, what+"\n"); err == nil {
		err = s.said.Decode(&done)
	}
	if err != nil {
		return done, fmt.Errorf("switch the recorder %s: %w", what, err)
	}
	return done, nil
}

// recorded is what the measuring program says of a time of recording.
type recorded struct {
	Starts int64  `json:"starts"`
	Lost   uint64 `json:"lost"`
}

// check refuses a record in which starts are missing silently: it would be cheap.
func (r recorded) check(starts int) error {
	if r.Starts+int64(r.Lost) < int64(starts) {
		return fmt.Errorf("%d starts are on record and %d events known to be missing, of %d starts", r.Starts, r.Lost, starts)
	}
	return nil
}

// storm returns how long a storm took, recorded or not.
func (s switched) storm(on bool, short string, starts int) (time.Duration, error) {
	if !on {
		return storm(short, starts)
	}
	if _, err := s.order("on"); err != nil {
		return 0, err
	}
	took, err := storm(short, starts)
	if err != nil {
		return 0, err
	}
	done, err := s.order("off")
	if err != nil {
		return 0, err
	}
	return took, done.check(starts)
}

// storm starts a short program again and again and waits for each end.
func storm(short string, starts int) (time.Duration, error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, stormWorkers)
	begun := time.Now()
	for w := range errs {
		wg.Go(func() {
			for errs[w] == nil && next.Add(1) <= int64(starts) {
				errs[w] = once(short)
			}
		})
	}
	wg.Wait()
	took := time.Since(begun)
	if err := errors.Join(errs...); err != nil {
		return 0, fmt.Errorf("start %s: %w", short, err)
	}
	return took, nil
}

// once runs a program to its end.
func once(short string) error {
	pid, err := syscall.ForkExec(short, []string{short}, nil)
	if err != nil {
		return err
	}
	var status syscall.WaitStatus
	for {
		if _, err = syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
			break
		}
	}
	if err == nil && (!status.Exited() || status.ExitStatus() != 0) {
		err = fmt.Errorf("ended as %d", status)
	}
	return err
}
