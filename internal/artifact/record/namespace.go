package record

// SchemaNamespace is the namespaces and the containers.
const SchemaNamespace = "hozen.namespace/1"

// The values of Type of the lines of hozen.namespace; they say which fields a line has.
const (
	NamespaceLine = "namespace"
	ContainerLine = "container"
)

// Namespace is one namespace that a process lives in, has open, or that is mounted.
type Namespace struct {
	Type  string `json:"type"`
	Kind  string `json:"kind"`  // cgroup, ipc, mnt, net, pid, time, user, uts
	Inode uint64 `json:"inode"` // as in the link /proc/PID/ns/<kind>
	// Host says whether it is the one of the PC itself, by its first process: "yes" or "no".
	// Within a container that is the container. Where the agent may not see that process,
	// the kernel's own numbers tell, and "unknown" of net and mnt, which have none.
	Host string `json:"host"`
	Own  bool   `json:"own,omitempty"` // the agent is in it
	// Members is how many processes live in it; PIDs are they, unless it is the host's, which
	// all others live in.
	Members int     `json:"members"`
	PIDs    []int64 `json:"pids,omitempty"`
	PIDsCut bool    `json:"pids_cut,omitempty"`
	// OpenBy are processes that hold it open by a descriptor, and Mounts where the agent sees
	// it mounted (ip-netns(8) does so): both keep it without a member.
	OpenBy []int64  `json:"open_by,omitempty"`
	Mounts []string `json:"mounts,omitempty"`
	// MountsRaw is the exact bytes of all of Mounts where one of them is not UTF-8.
	MountsRaw [][]byte `json:"mounts_b64,omitempty"`
	// Owner is the user namespace whose rights count in it, Parent the one around it (pid,
	// user) and OwnerUID who made a user namespace; -1: not known (ioctl_ns(2)).
	Owner    uint64 `json:"owner,omitempty"`
	Parent   uint64 `json:"parent,omitempty"`
	OwnerUID int64  `json:"owner_uid"`
	// Of a mount namespace that is not the host's: its root, as its first member sees it.
	MountsSeen    int    `json:"mounts_seen,omitempty"` // mounts in it
	RootFS        string `json:"root_fs,omitempty"`     // such as overlay
	RootSource    string `json:"root_source,omitempty"`
	RootSourceRaw []byte `json:"root_source_b64,omitempty"`
	RootPath      string `json:"root_path,omitempty"` // which part of that file system is its root
	RootPathRaw   []byte `json:"root_path_b64,omitempty"`
	RootDev       string `json:"root_dev,omitempty"` // major:minor
	// Of an overlay: where its layers lie on the host, the uppermost of the lower ones first.
	Lower    []string `json:"lower,omitempty"`
	LowerRaw [][]byte `json:"lower_b64,omitempty"` // as MountsRaw
	Upper    string   `json:"upper,omitempty"`
	UpperRaw []byte   `json:"upper_b64,omitempty"`
	Work     string   `json:"work,omitempty"`
	WorkRaw  []byte   `json:"work_b64,omitempty"`
	// Problem is what could not be read of it.
	Problem string `json:"problem,omitempty"`
}

// AppendJSON appends n as one JSON object.
func (n *Namespace) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "type", n.Type)
	b = strAlways(b, "kind", n.Kind)
	b = unumAlways(b, "inode", n.Inode)
	b = strAlways(b, "host", n.Host)
	b = flag(b, "own", n.Own)
	b = numAlways(b, "members", n.Members)
	b = nums(b, "pids", n.PIDs)
	b = flag(b, "pids_cut", n.PIDsCut)
	b = nums(b, "open_by", n.OpenBy)
	b = strs(b, "mounts", n.Mounts)
	b = b64s(b, "mounts_b64", n.MountsRaw)
	b = unum(b, "owner", n.Owner)
	b = unum(b, "parent", n.Parent)
	b = numAlways(b, "owner_uid", n.OwnerUID)
	b = num(b, "mounts_seen", n.MountsSeen)
	b = str(b, "root_fs", n.RootFS)
	b = str(b, "root_source", n.RootSource)
	b = b64(b, "root_source_b64", n.RootSourceRaw)
	b = str(b, "root_path", n.RootPath)
	b = b64(b, "root_path_b64", n.RootPathRaw)
	b = str(b, "root_dev", n.RootDev)
	b = strs(b, "lower", n.Lower)
	b = b64s(b, "lower_b64", n.LowerRaw)
	b = str(b, "upper", n.Upper)
	b = b64(b, "upper_b64", n.UpperRaw)
	b = str(b, "work", n.Work)
	b = b64(b, "work_b64", n.WorkRaw)
	return append(str(b, "problem", n.Problem), '}')
}

// Container is what the paths of control groups call one. A container of somebody's own
// making shows among the namespaces alone.
type Container struct {
	Type    string  `json:"type"`
	ID      string  `json:"id"`
	IDRaw   []byte  `json:"id_b64,omitempty"`
	Runtime string  `json:"runtime,omitempty"` // docker, containerd, crio, podman, lxc, nspawn, kubernetes; a guess from the path
	Cgroup  string  `json:"cgroup"`            // of its first member
	Members int     `json:"members"`
	PIDs    []int64 `json:"pids"`
	PIDsCut bool    `json:"pids_cut,omitempty"`
	// The namespaces that its members live in and that are not the host's, by inode.
	Namespaces []int64 `json:"namespaces,omitempty"`
}

// AppendJSON appends c as one JSON object.
func (c *Container) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "type", c.Type)
	b = strAlways(b, "id", c.ID)
	b = b64(b, "id_b64", c.IDRaw)
	b = str(b, "runtime", c.Runtime)
	b = strAlways(b, "cgroup", c.Cgroup)
	b = numAlways(b, "members", c.Members)
	b = nums(b, "pids", c.PIDs)
	b = flag(b, "pids_cut", c.PIDsCut)
	return append(nums(b, "namespaces", c.Namespaces), '}')
}
