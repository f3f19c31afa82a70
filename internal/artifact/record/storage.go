package record

// SchemaStorage is the mounts, swap areas and block devices.
const SchemaStorage = "hozen.storage/1"

// The values of Storage.Type; they say which other fields a line has.
const (
	StorageMount  = "mount"
	StorageSwap   = "swap"
	StorageDevice = "device"
)

// The values of Storage.Encrypted.
const (
	EncryptedYes     = "yes"     // a layer between it and the disks encrypts all of it
	EncryptedNo      = "no"      // every layer down to the disks was seen, and none does
	EncryptedPartly  = "partly"  // some of the devices below it are encrypted, some are not
	EncryptedUnknown = "unknown" // a layer could not be seen, or decides by itself
)

// Storage is a mount, a swap area or a block device, with its encryption at rest.
type Storage struct {
	Type string `json:"type"`
	Name string `json:"name"` // mount point, swap area, or the kernel's name of the device
	// NameRaw are its exact bytes where they are not UTF-8.
	NameRaw []byte `json:"name_b64,omitempty"`
	Dev     string `json:"dev,omitempty"` // "major:minor"
	// Encrypted is absent where nothing lies on a disk.
	Encrypted string `json:"encrypted,omitempty"`
	// Layers are what encrypts: LUKS1, LUKS2, PLAIN, BITLK, TCRYPT, … of dm-crypt, or the file system.
	Layers []string `json:"layers,omitempty"`

	// Type "mount".
	ID           int      `json:"id,omitempty"`
	Parent       int      `json:"parent,omitempty"`
	Root         string   `json:"root,omitempty"` // which part of the file system is mounted
	FSType       string   `json:"fs_type,omitempty"`
	Source       string   `json:"source,omitempty"`
	SourceRaw    []byte   `json:"source_b64,omitempty"`
	Options      []string `json:"options,omitempty"`
	SuperOptions []string `json:"super_options,omitempty"`
	Propagation  string   `json:"propagation,omitempty"`

	// Type "swap"; Size is of a device too. Both are bytes.
	Kind     string `json:"kind,omitempty"` // partition, file; of a device its device-mapper kind, loop, md, disk or partition
	Size     uint64 `json:"size,omitempty"`
	Used     uint64 `json:"used,omitempty"`
	Priority int    `json:"priority,omitempty"`

	// Type "device".
	Model     string   `json:"model,omitempty"`
	Vendor    string   `json:"vendor,omitempty"`
	Serial    string   `json:"serial,omitempty"`
	ReadOnly  bool     `json:"read_only,omitempty"`
	Removable bool     `json:"removable,omitempty"`
	Mapper    string   `json:"mapper,omitempty"`      // name under /dev/mapper
	MapperID  string   `json:"mapper_uuid,omitempty"` // such as CRYPT-LUKS2-…
	Backing   string   `json:"backing_file,omitempty"`
	Below     []string `json:"below,omitempty"` // the devices that it lies on
	PartOf    string   `json:"part_of,omitempty"`
}

// AppendJSON appends s as one JSON object.
func (s *Storage) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "type", s.Type)
	b = strAlways(b, "name", s.Name)
	b = b64(b, "name_b64", s.NameRaw)
	b = str(b, "dev", s.Dev)
	b = str(b, "encrypted", s.Encrypted)
	b = strs(b, "layers", s.Layers)
	b = num(b, "id", s.ID)
	b = num(b, "parent", s.Parent)
	b = str(b, "root", s.Root)
	b = str(b, "fs_type", s.FSType)
	b = str(b, "source", s.Source)
	b = b64(b, "source_b64", s.SourceRaw)
	b = strs(b, "options", s.Options)
	b = strs(b, "super_options", s.SuperOptions)
	b = str(b, "propagation", s.Propagation)
	b = str(b, "kind", s.Kind)
	b = unum(b, "size", s.Size)
	b = unum(b, "used", s.Used)
	b = num(b, "priority", s.Priority)
	b = str(b, "model", s.Model)
	b = str(b, "vendor", s.Vendor)
	b = str(b, "serial", s.Serial)
	b = flag(b, "read_only", s.ReadOnly)
	b = flag(b, "removable", s.Removable)
	b = str(b, "mapper", s.Mapper)
	b = str(b, "mapper_uuid", s.MapperID)
	b = str(b, "backing_file", s.Backing)
	b = strs(b, "below", s.Below)
	return append(str(b, "part_of", s.PartOf), '}')
}
