package simagent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"
)

// Crowd is many simulated agents in one program, each with an identity, a journal, an
// address and a connection of its own. It runs until Close, or until this program ends.
type Crowd struct{ *Agent }

// StartCrowd is [Start] for n agents, of which failing carry no order to isolate out: one
// half says so, the other never answers. state is an empty folder.
func StartCrowd(ctx context.Context, dir, state string, n, failing int, note io.Writer) (*Crowd, error) {
	a, err := begin(ctx, dir, state, note, "-crowd", strconv.Itoa(n), "-failing", strconv.Itoa(failing))
	if err != nil {
		return nil, err
	}
	return &Crowd{a}, nil
}

// Enrol enrols everybody.
func (c *Crowd) Enrol(token string) error {
	_, err := c.order("enrol %s", token)
	return err
}

// Arm forgets what was done so far.
func (c *Crowd) Arm() error {
	_, err := c.order("arm")
	return err
}

// Doings are when a crowd carried an order out.
type Doings struct {
	First, Last time.Time // the first and the last agent
	Confirmed   time.Time // the last one had heard that the collector keeps its result
	Count       int       // how many did
}

// Await waits until everybody who does not fail has carried a command out since
// [Crowd.Arm], and heard that the collector keeps the result.
func (c *Crowd) Await(verb string) (Doings, error) {
	answer, err := c.order("await %s", verb)
	if err != nil {
		return Doings{}, err
	}
	var d struct{ First, Last, Confirmed, Count int64 }
	if err := json.Unmarshal([]byte(answer), &d); err != nil {
		return Doings{}, fmt.Errorf("simulated agents: %q: %w", answer, err)
	}
	return Doings{time.Unix(0, d.First), time.Unix(0, d.Last), time.Unix(0, d.Confirmed), int(d.Count)}, nil
}
