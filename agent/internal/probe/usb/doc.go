// Package usb is the probe of what is plugged into the USB: sticks with stolen data,
// keyboards that are none, phones. It knows nothing of what was plugged in before.
//
// What evidence: a line per device with its numbers, names, serial number, place, speed,
// and its interfaces with their drivers.
//
// Source of truth: Linux: /sys/bus/usb/devices (Documentation/ABI/testing/sysfs-bus-usb).
// Windows: not yet.
//
// Privileges: none.
//
// Footprint: reads of small files. No device is spoken to.
//
// Volatility: Presence.
//
// Blind spots: a device says of itself what it likes.
package usb
