package isolation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"hozen/internal/bench"
	"hozen/internal/bench/simagent"
	"hozen/internal/e2e/rig"
)

const (
	// groupBar bounds the time from the order to the last report of a PC that is well,
	// against the bare push.
	groupBar = 5
	// reading is how long a person reads what an order to everybody would break, at least,
	// before giving it. The collector makes release codes meanwhile.
	reading = 8 * time.Second
	// spreadBar bounds the time between the first and the last PC that is cut, in ms.
	spreadBar = 5000
)

// GroupNames are the figures of [Group].
func GroupNames() []string {
	return []string{
		"isolation.group", "isolation.group.ms", "isolation.group.bare.ms", "isolation.group.warm", "isolation.group.bare.warm.ms", "isolation.group.cut.ms", "isolation.group.spread.ms",
		"isolation.group.flash.ms", "isolation.group.flash.spread.ms", "isolation.group.reported",
	}
}

// Group isolates a thousand simulated PCs together, each the shipped uplink with a
// certificate, an address and a connection of its own, while one in a hundred fails or
// hangs: once as a plain push, once with evidence taken everywhere first, which here is
// none. Their journals lie in memory, because a thousand PCs have a thousand disks; the
// collector's data lie on the disk.
//
// The bare push is one message of the size of an order to as many bare streams over TLS
// and the two back from each that an agent sends, between two processes as well, in the
// same run. It ends when the last result is at the server; the order to the group begins
// with the operator's call and ends when the last PC that is well has heard that its
// result is kept, which is one message more for each.
//
// Both come once, after as long a stillness, because an order to everybody does: what
// nobody has touched for seconds is slower on either side. A second push, right behind the
// first, stands beside as "warm", with its ratio and without a bar.
func Group(ctx context.Context, c Config) (err error) {
	size, rounds := 1000, 3
	if c.Quick {
		size = 100
	}
	g, err := newGathering(ctx, c, size)
	if err != nil {
		return err
	}
	if c.Quick {
		g.reading = reading / 16
	}
	defer func() { err = errors.Join(err, g.close()) }()
	var plain, stored, flash, bare, warm, cut, spread, flashSpread []time.Duration
	reported := 0
	for i := range rounds {
		turns := []func() error{
			func() error {
				if err := g.read(ctx); err != nil {
					return err
				}
				d, err := g.bare.push(ctx)
				if err != nil {
					return err
				}
				again, err := g.bare.push(ctx)
				bare, warm = append(bare, d), append(warm, again)
				return err
			},
			func() error {
				t, err := g.order(ctx, "isolate", true)
				plain, cut, spread = append(plain, t.total), append(cut, t.cut), append(spread, t.spread)
				stored = append(stored, t.stored)
				reported = t.count
				return err
			},
		}
		for k := range turns {
			if err := turns[(k+i)%2](); err != nil {
				return err
			}
		}
		if _, err := g.order(ctx, "release", false); err != nil {
			return err
		}
		if c.Quick && i < rounds-1 {
			continue
		}
		t, err := g.order(ctx, "isolate", false)
		if err != nil {
			return err
		}
		flash, flashSpread = append(flash, t.total), append(flashSpread, t.spread)
		if reported = min(reported, t.count); i < rounds-1 {
			if _, err := g.order(ctx, "release", false); err != nil {
				return err
			}
		}
	}
	ms := func(name string, times []time.Duration, bar bench.Bar) {
		c.Print(bench.Figure{Name: name, Value: bench.Milliseconds(bench.Percentile(times, 0.5)), Unit: "ms", Bar: bar})
	}
	c.Print(bench.Figure{Name: "isolation.group", Value: rank(ratios(plain, bare), 0.5), Unit: "ratio", Bar: bench.AtMost(groupBar)})
	ms("isolation.group.ms", plain, bench.Bar{})
	ms("isolation.group.bare.ms", bare, bench.Bar{})
	c.Print(bench.Figure{Name: "isolation.group.warm", Value: rank(ratios(plain, warm), 0.5), Unit: "ratio"})
	ms("isolation.group.bare.warm.ms", warm, bench.Bar{})
	ms("isolation.group.stored.ms", stored, bench.Bar{})
	ms("isolation.group.cut.ms", cut, bench.Bar{})
	c.Print(bench.Figure{Name: "isolation.group.spread.ms", Value: bench.Milliseconds(bench.Percentile(spread, 1)), Unit: "ms", Bar: bench.AtMost(spreadBar)})
	ms("isolation.group.flash.ms", flash, bench.Bar{})
	c.Print(bench.Figure{Name: "isolation.group.flash.spread.ms", Value: bench.Milliseconds(bench.Percentile(flashSpread, 1)), Unit: "ms", Bar: bench.AtMost(spreadBar)})
	c.Print(bench.Figure{Name: "isolation.group.reported", Value: float64(reported), Unit: fmt.Sprintf("of %d", size), Bar: bench.Exactly(float64(g.well))})
	return nil
}

// gathering is a collector with a crowd of simulated agents, and the bare pair beside it.
type gathering struct {
	size, well int
	reading    time.Duration
	nursery    *rig.Nursery
	collector  *rig.Collector
	operator   *rig.Local
	crowd      *simagent.Crowd
	state      string // of the crowd
	bare       *streams
}

func newGathering(ctx context.Context, c Config, size int) (_ *gathering, err error) {
	failing := max(size/100, 2)
	g := &gathering{reading: reading, size: size, well: size - failing, nursery: rig.NewNursery()}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	g.collector, err = g.nursery.Init(ctx, rig.CollectorConfig{
		Program: rig.In(c.Bin).Collector, Dir: filepath.Join(c.Dir, "collector"), Log: filepath.Join(c.Dir, "collector.log"),
	})
	if err != nil {
		return nil, err
	}
	if err := g.collector.Serve(ctx); err != nil {
		return nil, err
	}
	if g.operator, err = g.collector.SignIn(ctx); err != nil {
		return nil, err
	}
	token, err := g.collector.Token(ctx, size)
	if err != nil {
		return nil, err
	}
	if g.state, err = os.MkdirTemp(memory(), "hozen-bench-crowd-"); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	if g.crowd, err = simagent.StartCrowd(ctx, c.Dir, g.state, size, failing, c.Note); err != nil {
		return nil, err
	}
	if err := g.crowd.Enrol(token); err != nil {
		return nil, err
	}
	if err := g.crowd.Connect(); err != nil {
		return nil, err
	}
	if g.bare, err = listenBare(ctx, g.nursery, filepath.Join(c.Dir, "bare"), size); err != nil {
		return nil, err
	}
	return g, rig.Until(ctx, "everybody's connection", func() (bool, error) {
		list, err := g.collector.Endpoints(ctx)
		online := 0
		for _, e := range list {
			if e.Online {
				online++
			}
		}
		return online == size, err
	})
}

// memory is a folder whose files are in memory, or the usual one for what is temporary.
func memory() string {
	if fi, err := os.Stat("/dev/shm"); err == nil && fi.IsDir() {
		return "/dev/shm"
	}
	return ""
}

func (g *gathering) close() error {
	var errs []error
	if g.bare != nil {
		g.bare.close()
	}
	if g.crowd != nil {
		errs = append(errs, g.crowd.Close())
	}
	errs = append(errs, g.nursery.Close())
	if g.state != "" {
		errs = append(errs, os.RemoveAll(g.state))
	}
	return errors.Join(errs...)
}

// took is how long an order to the group took.
type took struct {
	stored time.Duration // until the answer to the order: all orders are in the database
	total  time.Duration // until the last PC that is well had its report confirmed
	cut    time.Duration // until the last one had carried it out
	spread time.Duration // between the first and the last one
	count  int
}

// order orders everybody, from the call until the last report is confirmed.
func (g *gathering) order(ctx context.Context, verb string, first bool) (t took, err error) {
	in := map[string]any{
		"select":      map[string]any{"all": true},
		"order":       map[string]any{"verb": verb, "reason": "bench", "isolate_first": first},
		"break_glass": "everybody at once is what is measured",
	}
	var seen struct{ Confirmed string }
	if err := g.operator.Call(ctx, "group.preview", in, &seen); err != nil {
		return t, err
	}
	in["order"].(map[string]any)["confirmed"] = seen.Confirmed
	if err := g.crowd.Arm(); err != nil {
		return t, err
	}
	if verb == "isolate" {
		if err := g.read(ctx); err != nil {
			return t, err
		}
	}
	var group struct{ ID string }
	begun := time.Now()
	if err := g.operator.Call(ctx, "group.order", in, &group); err != nil {
		return t, err
	}
	answered := time.Now()
	d, err := g.crowd.Await(verb)
	if err != nil {
		return t, err
	}
	t = took{stored: answered.Sub(begun), total: d.Confirmed.Sub(begun), cut: d.Last.Sub(begun), spread: d.Last.Sub(d.First)}
	// What the collector says of it is what counts.
	var shown struct {
		Members []struct{ Command *rig.Command }
	}
	if err := g.operator.Call(ctx, "group.show", map[string]string{"ref": group.ID}, &shown); err != nil {
		return t, err
	}
	for _, m := range shown.Members {
		if m.Command != nil && m.Command.Status == "done" && !m.Command.AcceptedAt.IsZero() {
			t.count++
		}
	}
	return t, nil
}

// read waits as long as a person reads.
func (g *gathering) read(ctx context.Context) error {
	read := time.NewTimer(g.reading)
	defer read.Stop()
	select {
	case <-read.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
