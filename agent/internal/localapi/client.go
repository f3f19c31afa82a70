package localapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// unknownReporter stands where the system does not say who is at the other end.
const unknownReporter = "unknown"

// The errors of a client.
var (
	// ErrNotRunning means that no agent answers at the socket.
	ErrNotRunning = errors.New("the agent is not running")
	// ErrRefused means that the agent answered and said no.
	ErrRefused = errors.New("the agent refused")
)

// Do sends a request and calls each with every reply until the last, which it returns.
func Do(ctx context.Context, path string, r Request, each func(Reply)) (Reply, error) {
	c, err := dial(ctx, path)
	if errors.Is(err, ErrNotRunning) {
		return Reply{}, fmt.Errorf("%w (nobody answers at %s)", ErrNotRunning, path)
	}
	if err != nil {
		return Reply{}, fmt.Errorf("ask the agent: %w", err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	b, err := json.Marshal(r)
	if err != nil {
		return Reply{}, fmt.Errorf("ask the agent: %w", err)
	}
	if err := c.SetDeadline(patience(ctx, r, time.Now())); err != nil {
		return Reply{}, fmt.Errorf("ask the agent: %w", err)
	}
	if _, err := c.Write(append(b, '\n')); err != nil {
		return Reply{}, fmt.Errorf("ask the agent: %w", err)
	}
	lines := bufio.NewReaderSize(io.LimitReader(c, maxReply), 4<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return Reply{}, fmt.Errorf("read the agent's answer: %w", err)
		}
		reply, err := parseReply(line)
		if err != nil {
			return Reply{}, err
		}
		if reply.Error != "" {
			return reply, fmt.Errorf("%w: %s", ErrRefused, reply.Error)
		}
		if reply.Done {
			return reply, nil
		}
		if each != nil {
			each(reply)
		}
	}
}

// patience is until when an answer is waited for: as long as the caller says, else as
// long as one should take.
func patience(ctx context.Context, r Request, now time.Time) time.Time {
	if d, ok := ctx.Deadline(); ok {
		return d.Add(time.Second) // the end of ctx comes first, and says why
	}
	return now.Add(time.Duration(r.WaitSeconds)*time.Second + 30*time.Second)
}

// parseReply reads one line of an answer; a newer agent may say more than this knows.
func parseReply(b []byte) (Reply, error) {
	var r Reply
	if err := json.Unmarshal(b, &r); err != nil {
		return Reply{}, fmt.Errorf("read the agent's answer: %w", err)
	}
	return r, nil
}
