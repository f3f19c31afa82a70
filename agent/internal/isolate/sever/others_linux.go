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

// others lists what is to be ended in other network namespaces. What their programs have
// with others is cut where it leaves this one, whatever its rules are, so that nothing of it
// may stay but what carries a tunnel: the way home could go through there. troubles says in
// English what could not be done, each once.
func (k *Kernel) others(ctx context.Context, p isolate.Policy) (found []place, troubles []string) {
	if k.cfg.Others == nil {
		return nil, nil
	}
	ctx, stop := context.WithTimeout(ctx, othersLimit)
	defer stop()
	p = isolate.Policy{Tunnels: p.Tunnels}
	unseen := k.cfg.Others(ctx, func(file *os.File, inode uint64, who string) {
		o := place{fd: int(file.Fd()), file: file, inode: inode, who: who}
		if err := o.list(ctx, p); err != nil {
			troubles = append(troubles, fmt.Sprintf("network namespace of %s: %v", who, err))
		}
		if len(o.found) == 0 {
			_ = file.Close()
			return
		}
		found = append(found, o)
	})
	if unseen > 0 {
		troubles = append(troubles, fmt.Sprintf("%d network namespaces were not looked into, because there are too many", unseen))
	}
	return found, troubles
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
