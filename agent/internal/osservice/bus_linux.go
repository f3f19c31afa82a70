package osservice

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"

	"hozen/agent/internal/msgbus"
)

// Names on the bus (org.freedesktop.systemd1(5), org.freedesktop.login1(5)).
const (
	systemdName = "org.freedesktop.systemd1"
	systemdPath = "/org/freedesktop/systemd1"
	managerFace = systemdName + ".Manager"
	unitFace    = systemdName + ".Unit"
	logindName  = "org.freedesktop.login1"
	logindPath  = "/org/freedesktop/login1"
	logindFace  = logindName + ".Manager"
)

// bus is a connection to systemd, and to logind where there is a message bus.
type bus struct{ conn *msgbus.Conn }

// systemdSocket is systemd's own, where nobody else answers and only root may ask.
const systemdSocket = "unix:path=/run/systemd/private"

// dial connects to the system bus, and where there is none to systemd itself, which
// root may.
func dial(ctx context.Context) (*bus, error) {
	conn, err := msgbus.Dial(ctx, msgbus.Config{})
	if err == nil {
		return &bus{conn}, nil
	}
	conn, perr := msgbus.Dial(ctx, msgbus.Config{Address: systemdSocket, Peer: true})
	if perr != nil {
		return nil, fmt.Errorf("reach systemd: %w", errors.Join(err, perr))
	}
	return &bus{conn}, nil
}

func (b *bus) close() { b.conn.Close() }

// ask calls a method and puts the answer into to.
func (b *bus) ask(ctx context.Context, dest string, path dbus.ObjectPath, method string, to any, args ...any) error {
	body, err := b.conn.Call(ctx, dest, path, method, args...)
	if err == nil && to != nil {
		err = dbus.Store(body, to)
	}
	return err
}

func (b *bus) systemd(ctx context.Context, method string, to any, args ...any) error {
	return b.ask(ctx, systemdName, systemdPath, managerFace+"."+method, to, args...)
}

func (b *bus) propertyOf(ctx context.Context, dest string, path dbus.ObjectPath, face, name string) (any, error) {
	var v dbus.Variant
	err := b.ask(ctx, dest, path, "org.freedesktop.DBus.Properties.Get", &v, face, name)
	return v.Value(), err
}

// said gives an error of a call its meaning.
func said(what string, err error) error {
	if err == nil {
		return nil
	}
	var derr dbus.Error
	if errors.As(err, &derr) {
		switch derr.Name {
		case "org.freedesktop.DBus.Error.AccessDenied", "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired":
			return fmt.Errorf("%s: %w: %w", what, ErrNeedsRoot, err)
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// reload makes systemd read the units anew.
func (b *bus) reload(ctx context.Context) error {
	return said("reload systemd", b.systemd(ctx, "Reload", nil))
}

// start queues a unit's start and does not wait for it: while the PC starts, that may
// be long.
func (b *bus) start(ctx context.Context, unit string) error {
	return said("start "+unit, b.systemd(ctx, "StartUnit", nil, unit, "replace"))
}

// stop stops a unit and waits until it is. A unit that is not there is stopped.
func (b *bus) stop(ctx context.Context, unit string) error {
	err := b.systemd(ctx, "StopUnit", nil, unit, "replace")
	var derr dbus.Error
	if errors.As(err, &derr) && derr.Name == systemdName+".NoSuchUnit" {
		return nil
	}
	if err != nil {
		return said("stop "+unit, err)
	}
	for {
		u, err := b.unit(ctx, unit)
		if err != nil {
			return err
		}
		if u.active == "inactive" || u.active == "failed" {
			break
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("wait until %s has stopped: %w", unit, ctx.Err())
		}
	}
	// A failure that nobody can look into any more would keep the name in the lists.
	_ = b.systemd(ctx, "ResetFailedUnit", nil, unit)
	return nil
}

// hangUp makes logind read its configuration anew. Restarting it, the other way, can
// end people's sessions.
func (b *bus) hangUp(ctx context.Context) error {
	u, err := b.unit(ctx, logindUnit)
	if err != nil || u.active != "active" {
		return err // logind reads it when it starts
	}
	return said("reload logind", b.systemd(ctx, "KillUnit", nil, logindUnit, "main", int32(syscall.SIGHUP)))
}

// unit reads how a unit is.
func (b *bus) unit(ctx context.Context, name string) (unitState, error) {
	var path dbus.ObjectPath
	if err := b.systemd(ctx, "LoadUnit", &path, name); err != nil {
		return unitState{}, said("look at "+name, err)
	}
	var p map[string]dbus.Variant
	if err := b.ask(ctx, systemdName, path, "org.freedesktop.DBus.Properties.GetAll", &p, unitFace); err != nil {
		return unitState{}, said("look at "+name, err)
	}
	u := unitState{name: name}
	u.load, _ = p["LoadState"].Value().(string)
	u.active, _ = p["ActiveState"].Value().(string)
	u.file, _ = p["UnitFileState"].Value().(string)
	u.reload, _ = p["NeedDaemonReload"].Value().(bool)
	u.before, _ = p["Before"].Value().([]string)
	u.after, _ = p["After"].Value().([]string)
	if u.load != "loaded" {
		return u, nil
	}
	if v, err := b.propertyOf(ctx, systemdName, path, systemdName+".Service", "MainPID"); err == nil {
		u.pid, _ = v.(uint32)
	}
	return u, nil
}

// list lists the units in one of the states whose names match one of the patterns; all
// where there is none.
func (b *bus) list(ctx context.Context, states, patterns []string) (map[string]active, error) {
	// name, description, load, active and sub state, follower, path, job's id, type and path
	var units [][]any
	if err := b.systemd(ctx, "ListUnitsByPatterns", &units, states, patterns); err != nil {
		return nil, said("list units", err)
	}
	found := map[string]active{}
	for _, u := range units {
		if len(u) < 5 {
			continue
		}
		name, ok := u[0].(string)
		sub, _ := u[4].(string)
		if ok {
			found[name] = active{kindOf(name), sub}
		}
	}
	return found, nil
}

// after returns what a unit is ordered after.
func (b *bus) after(ctx context.Context, name string) ([]string, error) {
	var path dbus.ObjectPath
	err := b.systemd(ctx, "LoadUnit", &path, name)
	if err != nil {
		return nil, said("look at "+name, err)
	}
	v, err := b.propertyOf(ctx, systemdName, path, unitFace, "After")
	names, _ := v.([]string)
	return names, said("look at "+name, err)
}

// property reads a text of systemd's manager.
func (b *bus) property(ctx context.Context, name string) (string, error) {
	v, err := b.propertyOf(ctx, systemdName, systemdPath, managerFace, name)
	s, _ := v.(string)
	return s, said("ask systemd for "+name, err)
}

// delay returns logind's InhibitDelayMaxUSec.
func (b *bus) delay(ctx context.Context) (time.Duration, error) {
	v, err := b.propertyOf(ctx, logindName, logindPath, logindFace, "InhibitDelayMaxUSec")
	usec, _ := v.(uint64)
	if usec > uint64(forever/time.Microsecond) {
		return forever, said("ask logind", err)
	}
	return time.Duration(usec) * time.Microsecond, said("ask logind", err)
}

// locks returns logind's inhibitor locks.
func (b *bus) locks(ctx context.Context) ([]lock, error) {
	var list []struct {
		What, Who, Why, Mode string
		UID, PID             uint32
	}
	if err := b.ask(ctx, logindName, logindPath, logindFace+".ListInhibitors", &list); err != nil {
		return nil, said("ask logind", err)
	}
	var locks []lock
	for _, l := range list {
		locks = append(locks, lock{what: l.What, mode: l.Mode, pid: l.PID})
	}
	return locks, nil
}

// GoingDown reports whether systemd is taking the PC down: poweroff, reboot, halt,
// kexec or soft-reboot is under way or queued. The companion unit is also stopped when
// it is uninstalled, and must tell the two apart.
func GoingDown(ctx context.Context) (bool, error) {
	b, err := dial(ctx)
	if err != nil {
		return false, err
	}
	defer b.close()
	s, err := b.property(ctx, "SystemState")
	return s == "stopping", err
}
