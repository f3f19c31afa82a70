package main

import (
	"context"
	"errors"
	"time"

	"hozen/internal/bench"
)

const (
	// ackBar bounds the 99th percentile of acknowledgements against the bare stream's.
	ackBar = 1.5
	// ackGap is the pause between two commands: orders come from people.
	ackGap = 5 * time.Millisecond
	// stall is what no acknowledgement may take.
	stall = time.Second
	// row is how many commands in a row must come without a stall.
	row = 1000
)

// commandAck orders while the same agent uploads at full speed, over the product's
// connection and over a bare one in turns.
//
// A bare stream has no disk: it is compared with the way of a command from the commit
// of its order to its acknowledgement, on which nothing waits for one. What a person
// waits for, with the commit, stands beside it without a bar: how long a disk that is
// busy with evidence takes to sync is the disk's affair.
func commandAck(ctx context.Context, e env) (err error) {
	rounds, each := 8, 250
	if e.quick {
		rounds, each = 4, 150
	}
	s, err := newSite(ctx, e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	const fill = 16
	if err := s.agent.Fill(fill, evidenceSize); err != nil {
		return err
	}
	if _, err := s.agent.LinkStored(s.bareDir); err != nil {
		return err
	}
	var product, acts, plain []time.Duration
	for i := range rounds {
		for k := range 2 {
			if (i+k)%2 == 0 {
				stop, err := s.bareClient(ctx, e)
				if err != nil {
					return err
				}
				took, err := s.bare.Order(ctx, each, ackGap)
				stop()
				if err != nil {
					return err
				}
				plain = append(plain, took...)
				continue
			}
			if err := s.connect(ctx); err != nil {
				return err
			}
			took, err := s.order(ctx, each, ackGap)
			if err = errors.Join(err, s.disconnect()); err != nil {
				return err
			}
			for _, t := range took {
				product, acts = append(product, t.fromStored), append(acts, t.fromAct)
			}
			if err := s.agent.Fill(fill/2, evidenceSize); err != nil {
				return err
			}
		}
	}
	p, b := bench.Percentile(product, 0.99), bench.Percentile(plain, 0.99)
	e.print(bench.Figure{Name: "command.ack", Value: float64(p) / float64(b), Unit: "ratio", Bar: bench.AtMost(ackBar)})
	e.print(bench.Figure{Name: "command.ack.ms", Value: bench.Milliseconds(p), Unit: "ms"})
	e.print(bench.Figure{Name: "command.ack.bare.ms", Value: bench.Milliseconds(b), Unit: "ms"})
	e.print(bench.Figure{Name: "command.ack.act.ms", Value: bench.Milliseconds(bench.Percentile(acts, 0.99)), Unit: "ms"})
	return nil
}

// commandStall orders a thousand times in a row.
func commandStall(ctx context.Context, e env) (err error) {
	s, err := newSite(ctx, e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.connect(ctx); err != nil {
		return err
	}
	took, err := s.order(ctx, row, 0)
	if err != nil {
		return err
	}
	smooth, longest := 0, time.Duration(0)
	for _, t := range took {
		if longest = max(longest, t.fromAct); t.fromAct <= stall {
			smooth++
		}
	}
	e.print(bench.Figure{Name: "command.stall", Value: float64(smooth), Unit: "count", Bar: bench.Exactly(row)})
	e.print(bench.Figure{Name: "command.stall.max.ms", Value: bench.Milliseconds(longest), Unit: "ms"})
	return nil
}
