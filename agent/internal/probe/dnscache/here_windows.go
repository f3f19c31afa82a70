package dnscache

import (
	"context"
	"fmt"
	"time"

	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/winsys"
)

const system = "windows"

// here asks the DNS client for the names that it remembers, and for the answers without
// asking the network.
func here(ctx context.Context, _ Config, o *facts.Out) error {
	var sys winsys.System
	names, err := sys.CachedNames()
	if err != nil {
		return fmt.Errorf("read cache of the DNS client: %w", err)
	}
	for _, n := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		got, _ := sys.CachedAnswers(n.Name, n.Type) // what is forgotten by now has none
		answers := make([]winAnswer, len(got))
		for i, a := range got {
			answers[i] = winAnswer{a.Type, a.TTL, a.Data, a.Name}
		}
		if err := o.Write(remembered(n.Name, n.Type, answers, time.Now())); err != nil {
			return err
		}
	}
	return nil
}
