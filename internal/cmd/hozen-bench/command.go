package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
func commandAck(ctx context.Context, e env) (err error) {
	rounds, each := 8, 150
	if e.quick {
		rounds, each = 4, 100
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
	var product, plain []time.Duration
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
			product = append(product, took...)
			if err := s.agent.Fill(fill/2, evidenceSize); err != nil {
				return err
			}
		}
		fmt.Fprintf(e.note, "round %d: product p50 %v p99 %v, bare p50 %v p99 %v\n", i,
			bench.Percentile(product, 0.5), bench.Percentile(product, 0.99), bench.Percentile(plain, 0.5), bench.Percentile(plain, 0.99))
	}
	p, b := bench.Percentile(product, 0.99), bench.Percentile(plain, 0.99)
	e.print(bench.Figure{Name: "command.ack", Value: float64(p) / float64(b), Unit: "ratio", Bar: bench.AtMost(ackBar)})
	e.print(bench.Figure{Name: "command.ack.ms", Value: bench.Milliseconds(p), Unit: "ms"})
	e.print(bench.Figure{Name: "command.ack.bare.ms", Value: bench.Milliseconds(b), Unit: "ms"})
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
	smooth := 0
	for _, d := range took {
		if d <= stall {
			smooth++
		}
	}
	e.print(bench.Figure{Name: "command.stall", Value: float64(smooth), Unit: "count", Bar: bench.Exactly(row)})
	e.print(bench.Figure{Name: "command.stall.max.ms", Value: bench.Milliseconds(slices.Max(took)), Unit: "ms"})
	return nil
}
