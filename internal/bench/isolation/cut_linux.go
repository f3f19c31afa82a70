package isolation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"hozen/internal/bench"
)

// quiet is how long after a cut is waited for a byte that still arrives.
const quiet = 50 * time.Millisecond

// Cut cuts a PC off whose connections move bytes over IPv4 and IPv6, made by it and to it,
// in turns with the bare batch. Counted is from the call of the firewall, before it even
// lists the network devices, to the last byte that a program at either end was handed. It
// needs root, Go, and to be called inside the module.
func Cut(ctx context.Context, c Config) (err error) {
	runs := 100
	if c.Quick {
		runs = 10
	}
	l, err := newLab(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	if _, err := l.order("apply"); err != nil {
		return err
	}
	plain, err := newBatch(l.PC)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plain.close()) }()
	if _, err := l.order("restore"); err != nil {
		return err
	}
	var cut, applied, bare []time.Duration
	turns := [2]func() error{
		func() error {
			took, err := l.bareCut(ctx, plain)
			bare = append(bare, took)
			return err
		},
		func() error {
			last, took, err := l.cut(ctx)
			cut, applied = append(cut, last), append(applied, took)
			return err
		},
	}
	for i := range runs {
		for k := range turns {
			if err := turns[(k+i)%2](); err != nil {
				return err
			}
		}
	}
	r := ratios(cut, bare)
	c.Print(bench.Figure{Name: "isolation.cut", Value: rank(r, 0.5), Unit: "ratio", Bar: bench.AtMost(cutBar)})
	c.Print(bench.Figure{Name: "isolation.cut.p99", Value: rank(r, 0.99), Unit: "ratio"})
	percentiles(c.Print, "isolation.cut", cut)
	percentiles(c.Print, "isolation.cut.applied", applied)
	percentiles(c.Print, "isolation.cut.bare", bare)
	return nil
}

// bareCut is how long the bare batch takes, with the same connections moving bytes.
func (l *lab) bareCut(ctx context.Context, b *batch) (time.Duration, error) {
	fs, err := l.flows(ctx)
	if err != nil {
		return 0, err
	}
	defer fs.close()
	took, err := b.commit(b.cut)
	if err != nil {
		return 0, err
	}
	if err := wait(ctx, quiet); err != nil {
		return 0, err
	}
	if monotonic()-fs.last() < int64(quiet)/2 {
		return 0, errors.New("the bare batch cuts nothing")
	}
	_, err = b.commit(b.end)
	return took, err
}

// cut is how long after the call the last byte arrived, and how long the call took.
func (l *lab) cut(ctx context.Context) (last, took time.Duration, err error) {
	fs, err := l.flows(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer fs.close()
	d, err := l.order("apply")
	if err != nil {
		return 0, 0, err
	}
	if err := wait(ctx, quiet); err != nil {
		return 0, 0, err
	}
	at := fs.last()
	if monotonic()-at < int64(quiet)/2 {
		return 0, 0, fmt.Errorf("bytes still arrive %v after the cut", time.Duration(at-d.Called))
	}
	if _, err := l.order("restore"); err != nil {
		return 0, 0, err
	}
	return time.Duration(max(0, at-d.Called)), time.Duration(d.Returned - d.Called), nil
}
