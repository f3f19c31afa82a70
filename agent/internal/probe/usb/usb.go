package usb

import (
	"context"
	"strings"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

const maxDevices = 4096

// New returns the probe of the system whose files are below root, usually "/".
func New(root string) probe.Probe {
	return facts.New(facts.Config{
		Kind: artifact.KindUSB, Schema: record.SchemaUSB, Volatility: probe.Presence, OS: "linux",
		Read: func(ctx context.Context, o *facts.Out) error { return read(ctx, root, o) },
	})
}

func read(ctx context.Context, root string, o *facts.Out) error {
	const dir = "sys/bus/usb/devices"
	r, err := facts.In(ctx, root)
	if err != nil {
		return err
	}
	defer r.Close()
	names, err := r.List(dir, maxDevices)
	if err != nil && len(names) == 0 {
		return err
	}
	o.Miss(err)
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if strings.Contains(name, ":") {
			continue // an interface, told with its device
		}
		at := dir + "/" + name + "/"
		value := func(file string) string {
			s, _ := record.TextOf(r.Value(at + file))
			return s
		}
		d := record.USBDevice{
			Vendor: value("idVendor"), Product: value("idProduct"), Manufacturer: value("manufacturer"), Name: value("product"), Serial: value("serial"),
			Class: value("bDeviceClass"), Speed: value("speed"), Bus: value("busnum"), Number: value("devnum"), Authorized: value("authorized"), Removable: value("removable"),
		}
		d.Port, _ = record.TextOf(name)
		for _, n := range names {
			// usb1's are named 1-0:1.0, those of 1-2 1-2:1.0.
			if device, _, ok := strings.Cut(n, ":"); ok && (device == name || "usb"+strings.TrimSuffix(device, "-0") == name) {
				d.Interfaces = append(d.Interfaces, iface(r, dir+"/"+n+"/"))
			}
		}
		if err := o.Write(&d); err != nil {
			return err
		}
	}
	return nil
}

// iface tells an interface as "class/subclass/protocol driver".
func iface(r facts.Root, at string) string {
	s := r.Value(at+"bInterfaceClass") + "/" + r.Value(at+"bInterfaceSubClass") + "/" + r.Value(at+"bInterfaceProtocol")
	if driver := r.Link(at + "driver"); driver != "" {
		s += " " + driver
	}
	s, _ = record.TextOf(s)
	return s
}
