package isolation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"hozen/internal/bench/bare"
	"hozen/internal/e2e/rig"
)

// BareCrowd is the word that makes hozen-bench the bare clients: bare-crowd FOLDER N.
const BareCrowd = "bare-crowd"

// streams are bare streams to a copy of this program.
type streams struct{ server *bare.Streams }

func listenBare(ctx context.Context, n *rig.Nursery, dir string, size int) (*streams, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	server, err := bare.ListenStreams(dir)
	if err != nil {
		return nil, err
	}
	s := &streams{server}
	self, err := os.Executable()
	if err != nil {
		s.close()
		return nil, fmt.Errorf("find own program: %w", err)
	}
	p, err := n.Start(rig.Spec{Path: self, Args: []string{BareCrowd, dir, strconv.Itoa(size)}, Log: dir + ".log"})
	if err == nil {
		err = rig.Until(ctx, "the bare streams", func() (bool, error) { return server.Open() == size, nil }, p)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// push sends to all of them once.
func (s *streams) push(ctx context.Context) (time.Duration, error) {
	d, err := s.server.Push(ctx)
	if err == nil && d <= 0 {
		err = errors.New("the bare push took no time")
	}
	return d, err
}

func (s *streams) close() { s.server.Close() }
