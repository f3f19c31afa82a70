package autostart

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"hozen/agent/internal/msgbus"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/sorted"
	"hozen/internal/artifact/record"
)

const (
	managerName = "org.freedesktop.systemd1"
	managerPath = "/org/freedesktop/systemd1"
	// managerSocket is the manager's own, where only root may ask.
	managerSocket = "unix:path=/run/systemd/private"
	maxUnits      = 1 << 15
)

// caller is a connection of the bus.
type caller interface {
	Call(ctx context.Context, dest string, path dbus.ObjectPath, method string, args ...any) ([]any, error)
}

// loadedUnits tells what the system manager has loaded. Where there is none, there is
// nothing to tell; the files speak alone.
func loadedUnits(ctx context.Context, o *facts.Out) error {
	conn, err := msgbus.Dial(ctx, msgbus.Config{})
	if err != nil {
		var perr error
		if conn, perr = msgbus.Dial(ctx, msgbus.Config{Address: managerSocket, Peer: true}); perr != nil {
			if !errors.Is(err, fs.ErrNotExist) || !errors.Is(perr, fs.ErrNotExist) {
				o.Miss(fmt.Errorf("reach the system manager: %w", errors.Join(err, perr)))
			}
			return ctx.Err()
		}
	}
	defer conn.Close()
	return ask(ctx, conn, o)
}

func ask(ctx context.Context, c caller, o *facts.Out) error {
	var rows []listed
	body, err := c.Call(ctx, managerName, managerPath, managerName+".Manager.ListUnits")
	if err == nil {
		err = dbus.Store(body, &rows)
	}
	if err != nil {
		o.Miss(fmt.Errorf("list units: %w", err))
		return ctx.Err()
	}
	if len(rows) > maxUnits {
		o.Miss(fmt.Errorf("only %d of %d units are told", maxUnits, len(rows)))
		rows = rows[:maxUnits]
	}
	sorted.Func(rows, func(a, b listed) int { return strings.Compare(a.Name, b.Name) })
	var files []unitFile
	body, err = c.Call(ctx, managerName, managerPath, managerName+".Manager.ListUnitFiles")
	if err == nil {
		err = dbus.Store(body, &files)
	}
	if err != nil {
		o.Miss(fmt.Errorf("list unit files: %w", err))
	}
	all := units(rows, files)
	for i := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if strings.HasSuffix(rows[i].Name, ".timer") {
			if err := timer(ctx, c, rows[i].Path, &all[i]); err != nil {
				o.Miss(fmt.Errorf("ask for %s: %w", rows[i].Name, err))
			}
		}
		if err := o.Write(&all[i]); err != nil {
			return err
		}
	}
	return nil
}

// after is the time at which the clock that systemd counts from the boot on shows so many
// microseconds, as the clocks stand now.
func after(usec uint64) time.Time {
	var up unix.Timespec
	if usec == 0 || usec > 1<<53 || unix.ClockGettime(unix.CLOCK_MONOTONIC, &up) != nil {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(usec)*time.Microsecond - time.Duration(up.Nano())).UTC().Truncate(time.Second)
}

// timer adds what a timer says of itself.
func timer(ctx context.Context, c caller, path string, u *record.StartUnit) error {
	body, err := c.Call(ctx, managerName, dbus.ObjectPath(path), "org.freedesktop.DBus.Properties.GetAll", managerName+".Timer")
	var said map[string]dbus.Variant
	if err == nil {
		err = dbus.Store(body, &said)
	}
	if err != nil {
		return err
	}
	next, _ := said["NextElapseUSecRealtime"].Value().(uint64)
	last, _ := said["LastTriggerUSec"].Value().(uint64)
	starts, _ := said["Unit"].Value().(string)
	u.Next, u.Last = at(next), at(last)
	if mono, _ := said["NextElapseUSecMonotonic"].Value().(uint64); u.Next.IsZero() { // so long after a boot, or after it did last
		u.Next = after(mono)
	}
	u.Starts, _ = record.TextOf(starts)
	return nil
}
