package osservice

import (
	"context"
	"strings"

	"github.com/kardianos/service"
)

// options hands the finished unit to kardianos, whose template engine must find
// nothing in it to fill in.
func options(unit string) service.KeyValue {
	return service.KeyValue{"SystemdScript": strings.ReplaceAll(unit, "{{", "{ {")}
}

// Run runs work until ctx ends: systemd stops services by SIGTERM, which ends ctx.
func Run(ctx context.Context, work func(ctx context.Context) error) error { return work(ctx) }
