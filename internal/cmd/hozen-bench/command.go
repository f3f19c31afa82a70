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
	// ackTurn is how many commands one turn has.
	ackTurn = 100
	// load is how many acquisitions wait when a turn begins, at first: more than should
	// be uploaded in it.
	load = 16
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
	rounds := 21
	if e.quick {
		rounds = 3
	}
	s, err := newSite(ctx, e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.agent.Fill(load, evidenceSize); err != nil {
		return err
	}
	s.load, s.waiting = load, load
	if _, err := s.agent.LinkStored(s.bareDir); err != nil {
		return err
	}
	var ratios, product, acts, plain []float64 // of each round
	for i := range rounds {
		var p99 [2]float64
		turns := [2]func(context.Context, env) (float64, error){s.ackBare, func(ctx context.Context, _ env) (p float64, err error) {
			var act float64
			p, act, err = s.ackProduct(ctx)
			acts = append(acts, act)
			return p, err
		}}
		for k := range turns {
			k = (k + i) % 2
			if p99[k], err = turns[k](ctx, e); err != nil {
				return err
			}
		}
		plain, product = append(plain, p99[0]), append(product, p99[1])
		ratios = append(ratios, p99[1]/p99[0])
	}
	e.print(bench.Figure{Name: "command.ack", Value: median(ratios), Unit: "ratio", Bar: bench.AtMost(ackBar)})
	e.print(bench.Figure{Name: "command.ack.ms", Value: median(product), Unit: "ms"})
	e.print(bench.Figure{Name: "command.ack.bare.ms", Value: median(plain), Unit: "ms"})
	e.print(bench.Figure{Name: "command.ack.act.ms", Value: median(acts), Unit: "ms"})
	return nil
}

// ackBare returns the 99th percentile of a turn over the bare connection, in ms.
func (s *site) ackBare(ctx context.Context, e env) (float64, error) {
	stop, err := s.bareClient(ctx, e)
	if err != nil {
		return 0, err
	}
	defer stop()
	took, err := s.bare.Order(ctx, ackTurn, ackGap)
	return bench.Milliseconds(bench.Percentile(took, 0.99)), err
}

// ackProduct returns the same over the product's, from the commit of the order and
// from the act. A turn in which the evidence ran out is done again with more.
func (s *site) ackProduct(ctx context.Context) (stored, act float64, err error) {
	for range 4 {
		if err := s.agent.Fill(max(0, s.load-s.waiting), evidenceSize); err != nil {
			return 0, 0, err
		}
		if err := s.connect(ctx); err != nil {
			return 0, 0, err
		}
		took, err := s.order(ctx, ackTurn, ackGap)
		waiting, derr := s.agent.Disconnect()
		if err = errors.Join(err, derr); err != nil {
			return 0, 0, err
		}
		if s.waiting = waiting; waiting == 0 {
			s.load *= 2
			continue
		}
		var fromStored, fromAct []time.Duration
		for _, t := range took {
			fromStored, fromAct = append(fromStored, t.fromStored), append(fromAct, t.fromAct)
		}
		return bench.Milliseconds(bench.Percentile(fromStored, 0.99)), bench.Milliseconds(bench.Percentile(fromAct, 0.99)), nil
	}
	return 0, 0, errors.New("the agent ran out of evidence to upload in every attempt")
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
