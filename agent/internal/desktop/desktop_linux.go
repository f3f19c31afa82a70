package desktop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"

	"hozen/agent/internal/msgbus"
)

const service = "org.freedesktop.Notifications"

// Show shows a notice by the message bus at address, "unix:path=…". Where nobody shows
// notices yet it goes on asking until ctx ends.
func Show(ctx context.Context, address string, n Notice) error {
	conn, err := msgbus.Dial(ctx, msgbus.Config{Address: address})
	if err != nil {
		return err
	}
	defer conn.Close()
	urgency, never := urgencyCritical, int32(0)
	if n.Quiet {
		urgency = urgencyNormal
	}
	for {
		_, err = conn.Call(ctx, service, "/org/freedesktop/Notifications", service+".Notify", "Hozen", uint32(0), "network-error",
			n.Title, plain(n.Body), []string{}, map[string]dbus.Variant{"urgency": dbus.MakeVariant(urgency)}, never)
		if e, ok := errors.AsType[dbus.Error](err); !ok || e.Name != "org.freedesktop.DBus.Error.ServiceUnknown" && e.Name != "org.freedesktop.DBus.Error.NameHasNoOwner" {
			break
		}
		again := time.NewTimer(retry)
		select {
		case <-again.C:
			continue
		case <-ctx.Done():
			again.Stop()
		}
		break
	}
	if err != nil {
		return fmt.Errorf("show notice: %w", err)
	}
	return nil
}
