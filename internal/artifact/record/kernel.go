package record

// The schemas of the kernel's settings, keyrings and USB devices.
const (
	SchemaSysctl  = "hozen.sysctl/1"
	SchemaKeyring = "hozen.keyring/1"
	SchemaUSB     = "hozen.usb/1"
)

// Sysctl is one setting of the kernel (sysctl(8)) that matters to an investigation.
type Sysctl struct {
	Name  string `json:"name"` // with dots
	Value string `json:"value"`
	// Why says in English what it decides.
	Why string `json:"why"`
}

// AppendJSON appends s as one JSON object.
func (s *Sysctl) AppendJSON(b []byte) []byte {
	b = strAlways(append(b, '{'), "name", s.Name)
	b = strAlways(b, "value", s.Value)
	return append(strAlways(b, "why", s.Why), '}')
}

// Key is one key or keyring of the kernel that the agent may see (proc_keys(5)). What it
// holds is never read.
type Key struct {
	ID      string `json:"id"`    // in hexadecimal
	Flags   string `json:"flags"` // I instantiated, R revoked, D dead, Q in a quota, U being made, N negative, i invalidated
	Usage   int    `json:"usage"` // how often the kernel refers to it
	Expires string `json:"expires"`
	Perm    string `json:"perm"` // in hexadecimal
	UID     int64  `json:"uid"`
	GID     int64  `json:"gid"`
	Type    string `json:"type"` // keyring, user, logon, asymmetric, …
	// Description is its name, with what the kernel adds, such as the number of keys.
	Description    string `json:"description"`
	DescriptionRaw []byte `json:"description_b64,omitempty"`
}

// AppendJSON appends k as one JSON object.
func (k *Key) AppendJSON(b []byte) []byte {
	b = strAlways(append(b, '{'), "id", k.ID)
	b = strAlways(b, "flags", k.Flags)
	b = numAlways(b, "usage", k.Usage)
	b = strAlways(b, "expires", k.Expires)
	b = strAlways(b, "perm", k.Perm)
	b = numAlways(b, "uid", k.UID)
	b = numAlways(b, "gid", k.GID)
	b = strAlways(b, "type", k.Type)
	b = strAlways(b, "description", k.Description)
	return append(b64(b, "description_b64", k.DescriptionRaw), '}')
}

// USBDevice is one device on the USB, hubs included.
type USBDevice struct {
	Port         string   `json:"port"`    // where it is plugged in, such as 1-2.3; usb1 is a controller
	Vendor       string   `json:"vendor"`  // number in hexadecimal
	Product      string   `json:"product"` // number in hexadecimal
	Manufacturer string   `json:"manufacturer,omitempty"`
	Name         string   `json:"name,omitempty"`
	Serial       string   `json:"serial,omitempty"`
	Class        string   `json:"class,omitempty"` // number in hexadecimal; 00: see Interfaces
	Speed        string   `json:"speed,omitempty"` // Mbit/s
	Bus          string   `json:"bus,omitempty"`
	Number       string   `json:"number,omitempty"` // of the device on the bus; grows with each that is plugged in
	Authorized   string   `json:"authorized,omitempty"`
	Removable    string   `json:"removable,omitempty"`
	Interfaces   []string `json:"interfaces,omitempty"` // class, subclass and protocol in hexadecimal, and the driver
}

// AppendJSON appends d as one JSON object.
func (d *USBDevice) AppendJSON(b []byte) []byte {
	b = strAlways(append(b, '{'), "port", d.Port)
	b = strAlways(b, "vendor", d.Vendor)
	b = strAlways(b, "product", d.Product)
	b = str(b, "manufacturer", d.Manufacturer)
	b = str(b, "name", d.Name)
	b = str(b, "serial", d.Serial)
	b = str(b, "class", d.Class)
	b = str(b, "speed", d.Speed)
	b = str(b, "bus", d.Bus)
	b = str(b, "number", d.Number)
	b = str(b, "authorized", d.Authorized)
	b = str(b, "removable", d.Removable)
	return append(strs(b, "interfaces", d.Interfaces), '}')
}
