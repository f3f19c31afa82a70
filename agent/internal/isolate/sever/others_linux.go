package sever

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"hozen/agent/internal/isolate"
)

const (
	// othersLimit is how long looking into other network namespaces may take together, of
	// what the caller gives.
	othersLimit = 2 * time.Second
	// troublesMax bounds how many of them are named that could not be looked into.
	troublesMax = 8
)

// others ends what is to be ended in other network namespaces, in one after another, so that
// never the sockets of more than one are held. What their programs have
// with others is cut where it leaves this one, whatever its rules are, so that nothing of it
// may stay but what carries a tunnel: the way home could go through there. troubles says in
// English what could not be done, each once.
func (k *Kernel) others(ctx context.Context, p isolate.Policy, s *isolate.Severed) (troubles []string) {
	if k.cfg.Others == nil {
		return nil
	}
	look, stop := context.WithCancel(ctx)
	defer stop()
	left, names := othersLimit, holdersLimit // for looking, and of it for names
	since, timer := time.Now(), time.AfterFunc(left, stop)
	defer timer.Stop()
	p = isolate.Policy{Tunnels: p.Tunnels}
	unseen := k.cfg.Others(look, func(file *os.File, inode uint64, who string) {
		defer func() { _ = file.Close() }()
		trouble := func(err error) {
			if err != nil {
				troubles = append(troubles, fmt.Sprintf("network namespace of %s: %v", who, err))
			}
		}
		o := place{fd: int(file.Fd()), inode: inode}
		trouble(o.list(look, p))
		if len(o.found) == 0 {
			return
		}
		began := time.Now()
		k.holders(look, o.found, names)
		names -= time.Since(began)
		timer.Stop()
		left -= time.Since(since)
		trouble(o.end(ctx, s)) // what was found is ended however long the looking took
		since = time.Now()
		timer.Reset(max(left, 0))
	})
	if unseen > 0 {
		troubles = append(troubles, fmt.Sprintf("%d network namespaces were not looked into, because there are too many", unseen))
	}
	return troubles
}

// told is one error of all troubles. It wraps none: what cannot be done in a namespace of
// somebody else says nothing of what this agent and its kernel can do.
func told(troubles []string) error {
	if len(troubles) == 0 {
		return nil
	}
	text := strings.Join(troubles[:min(len(troubles), troublesMax)], "; ")
	if n := len(troubles) - troublesMax; n > 0 {
		text += fmt.Sprintf("; and %d more", n)
	}
	return errors.New(text)
}
