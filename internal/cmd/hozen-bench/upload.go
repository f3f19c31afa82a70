package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hozen/internal/bench"
	"hozen/internal/e2e/rig"
)

// uploadBar is the least share of the bare upload's speed that is kept when every byte
// is hashed, decompressed, hashed again, synced to disk and recorded.
const uploadBar = 0.5

// uploadVerified uploads the same stored bytes over both sides in turns. The speed of
// a turn is that from the first receipt to the last, so that connecting is left out
// and all that an acquisition costs is in it.
//
// The evidence hardly compresses, as it is with most of what is large. Where it does,
// each stored byte stands for many that are hashed, and the ratio is lower.
func uploadVerified(ctx context.Context, e env) (err error) {
	rounds, each := 11, 6
	if e.quick {
		rounds, each = 5, 4
	}
	s, err := newSite(ctx, e)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	var ratios, product, plain []float64
	for i := range rounds {
		if err := s.agent.Fill(each, evidenceSize); err != nil {
			return err
		}
		if i == 0 {
			if _, err := s.agent.LinkStored(s.bareDir); err != nil {
				return err
			}
		}
		var speed [2]float64 // bytes per second
		turns := [2]func(context.Context, env, int) (float64, error){s.uploadBare, s.uploadProduct}
		for k := range turns {
			k = (k + i) % 2
			if speed[k], err = turns[k](ctx, e, each); err != nil {
				return err
			}
		}
		plain, product = append(plain, speed[0]/1e6), append(product, speed[1]/1e6)
		ratios = append(ratios, speed[1]/speed[0])
	}
	e.print(bench.Figure{Name: "upload.verified", Value: median(ratios), Unit: "ratio", Bar: bench.AtLeast(uploadBar)})
	e.print(bench.Figure{Name: "upload.verified.mb", Value: median(product), Unit: "MB/s"})
	e.print(bench.Figure{Name: "upload.bare.mb", Value: median(plain), Unit: "MB/s"})
	return nil
}

func median(list []float64) float64 {
	s := slices.Sorted(slices.Values(list))
	return s[len(s)/2]
}

// uploadBare returns the speed of n uploads in a row of the bare client.
func (s *site) uploadBare(ctx context.Context, e env, n int) (float64, error) {
	for len(s.bare.Uploads()) > 0 {
		<-s.bare.Uploads() // of an earlier turn
	}
	stop, err := s.bareClient(ctx, e)
	if err != nil {
		return 0, err
	}
	defer stop()
	var begun, ended time.Time
	var bytes int64
	for i := range n {
		select {
		case u := <-s.bare.Uploads():
			if ended = u.Ended; i == 0 {
				begun = u.Ended
			} else {
				bytes += u.Bytes
			}
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for bare uploads: %w", ctx.Err())
		}
	}
	return float64(bytes) / ended.Sub(begun).Seconds(), nil
}

// uploadProduct returns the speed at which the collector took the n acquisitions that
// wait, by its own clock.
func (s *site) uploadProduct(ctx context.Context, _ env, n int) (float64, error) {
	before, err := s.collector.Acquisitions(ctx, s.endpoint)
	if err != nil {
		return 0, err
	}
	if err := s.agent.Connect(); err != nil {
		return 0, err
	}
	var list []rig.Acquisition
	look := time.NewTicker(200 * time.Millisecond) // seldom, for asking costs what is measured
	defer look.Stop()
	for len(list) < len(before)+n {
		select {
		case <-look.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for evidence: %w", ctx.Err())
		}
		if list, err = s.collector.Acquisitions(ctx, s.endpoint); err != nil {
			return 0, err
		}
	}
	if _, err := s.agent.Disconnect(); err != nil {
		return 0, err
	}
	slices.SortFunc(list, func(a, b rig.Acquisition) int { return a.ReceivedAt.Compare(b.ReceivedAt) })
	list = list[len(before):]
	var bytes int64
	for _, a := range list[1:] {
		bytes += a.StoredBytes
	}
	return float64(bytes) / list[n-1].ReceivedAt.Sub(list[0].ReceivedAt).Seconds(), nil
}
