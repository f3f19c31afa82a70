package osservice

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"
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
type bus struct {
	conn    *dbus.Conn
	private bool // systemd's own socket: nobody else answers there
}

// dial connects to the system bus, and where there is none to systemd itself, which
// root may.
func dial(ctx context.Context) (*bus, error) {
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err == nil {
		return &bus{conn: conn}, nil
	}
	conn, perr := dbus.Dial("unix:path=/run/systemd/private", dbus.WithContext(ctx))
	if perr != nil {
		return nil, fmt.Errorf("reach systemd: %w", errors.Join(err, perr))
	}
	if aerr := conn.Auth(nil); aerr != nil {
		return nil, fmt.Errorf("reach systemd: %w", errors.Join(err, aerr, conn.Close()))
	}
	return &bus{conn: conn, private: true}, nil
}

func (b *bus) close() { _ = b.conn.Close() } // nothing was left unsent

func (b *bus) systemd(ctx context.Context, method string, args ...any) *dbus.Call {
	return b.conn.Object(systemdName, systemdPath).CallWithContext(ctx, managerFace+"."+method, 0, args...)
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
	return said("reload systemd", b.systemd(ctx, "Reload").Err)
}

// start queues a unit's start and does not wait for it: while the PC starts, that may
// be long.
func (b *bus) start(ctx context.Context, unit string) error {
	return said("start "+unit, b.systemd(ctx, "StartUnit", unit, "replace").Err)
}

// stop stops a unit and waits until it is. A unit that is not there is stopped.
func (b *bus) stop(ctx context.Context, unit string) error {
	err := b.systemd(ctx, "StopUnit", unit, "replace").Err
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
	_ = b.systemd(ctx, "ResetFailedUnit", unit).Err
	return nil
}

// hangUp makes logind read its configuration anew. Restarting it, the other way, can
// end people's sessions.
func (b *bus) hangUp(ctx context.Context) error {
	u, err := b.unit(ctx, logindUnit)
	if err != nil || u.active != "active" {
		return err // logind reads it when it starts
	}
	return said("reload logind", b.systemd(ctx, "KillUnit", logindUnit, "main", int32(syscall.SIGHUP)).Err)
}

// unit reads how a unit is.
func (b *bus) unit(ctx context.Context, name string) (unitState, error) {
	var path dbus.ObjectPath
	if err := b.systemd(ctx, "LoadUnit", name).Store(&path); err != nil {
		return unitState{}, said("look at "+name, err)
	}
	var p map[string]dbus.Variant
	o := b.conn.Object(systemdName, path)
	if err := o.CallWithContext(ctx, "org.freedesktop.DBus.Properties.GetAll", 0, unitFace).Store(&p); err != nil {
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
	if v, err := o.GetProperty(systemdName + ".Service.MainPID"); err == nil {
		u.pid, _ = v.Value().(uint32)
	}
	return u, nil
}

// running lists the units whose names match one of the patterns.
func (b *bus) running(ctx context.Context, patterns []string) ([]string, error) {
	// name, description, load, active and sub state, follower, path, job's id, type and path
	var units [][]any
	if err := b.systemd(ctx, "ListUnitsByPatterns", []string{"active"}, patterns).Store(&units); err != nil {
		return nil, said("list units", err)
	}
	var names []string
	for _, u := range units {
		if len(u) > 0 {
			if name, ok := u[0].(string); ok {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// property reads a text of systemd's manager.
func (b *bus) property(ctx context.Context, name string) (string, error) {
	var v dbus.Variant
	err := b.conn.Object(systemdName, systemdPath).CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, managerFace, name).Store(&v)
	s, _ := v.Value().(string)
	return s, said("ask systemd for "+name, err)
}

// delay returns logind's InhibitDelayMaxUSec.
func (b *bus) delay(ctx context.Context) (time.Duration, error) {
	var v dbus.Variant
	err := b.conn.Object(logindName, logindPath).CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, logindFace, "InhibitDelayMaxUSec").Store(&v)
	usec, _ := v.Value().(uint64)
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
	if err := b.conn.Object(logindName, logindPath).CallWithContext(ctx, logindFace+".ListInhibitors", 0).Store(&list); err != nil {
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
