package usb_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/agent/internal/probe/usb"
	"hozen/internal/artifact/record"
)

// bus is a hub with a stick that also is a keyboard.
func bus(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"usb1/idVendor": "1d6b\n", "usb1/idProduct": "0002\n", "1-0:1.0/bInterfaceClass": "09\n",
		"1-2/idVendor": "0781\n", "1-2/idProduct": "5567\n", "1-2/product": "Stick \xff\n", "1-2/serial": "4C53\n", "1-2/authorized": "1\n",
		"1-2:1.0/bInterfaceClass": "08\n", "1-2:1.0/bInterfaceSubClass": "06\n", "1-2:1.0/bInterfaceProtocol": "50\n",
		"1-2:1.1/bInterfaceClass": "03\n", "1-2:1.1/bInterfaceSubClass": "01\n", "1-2:1.1/bInterfaceProtocol": "01\n",
	} {
		path := filepath.Join(root, "sys/bus/usb/devices", filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../../../bus/usb/drivers/usbhid", filepath.Join(root, "sys/bus/usb/devices/1-2:1.1/driver")); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestConformance(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system has no such probe yet")
	}
	root := bus(t)
	probetest.Run(t, probetest.Config{New: func() probe.Probe { return usb.New(root) }})
}

func TestFalseStick(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system has no such probe yet")
	}
	var l probetest.Lines
	if err := usb.New(bus(t)).Acquire(t.Context(), &l); err != nil || len(l.All) != 2 {
		t.Fatal(err, len(l.All))
	}
	var stick, hub record.USBDevice
	if err := errors.Join(json.Unmarshal(l.All[0], &stick), json.Unmarshal(l.All[1], &hub)); err != nil {
		t.Fatal(err)
	}
	if stick.Port != "1-2" || stick.Vendor != "0781" || stick.Serial != "4C53" || stick.Name != "Stick \ufffd" || !slices.Equal(stick.Interfaces, []string{"08/06/50", "03/01/01 usbhid"}) {
		t.Errorf("%+v", stick)
	}
	if hub.Port != "usb1" || !slices.Equal(hub.Interfaces, []string{"09//"}) {
		t.Errorf("%+v", hub)
	}
	if err := usb.New(t.TempDir()).Acquire(t.Context(), new(probetest.Lines)); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}
