package record

// SchemaProcState is the privileges, threads and service of processes.
const SchemaProcState = "hozen.procstate/1"

// ProcState is what a process may do, what it belongs to and what it listens on, beside
// what [Process] says of it.
type ProcState struct {
	PID        int    `json:"pid"`
	StartTicks uint64 `json:"start_ticks"` // with PID, the identity of the process (see [Process])
	Comm       string `json:"comm,omitempty"`

	// Unit is the unit of the system manager that the process belongs to, such as
	// "sshd.service", and UserUnit that of its user's manager; both are read from the path
	// of the control group, as systemd-cgls(1) does.
	Unit     string `json:"unit,omitempty"`
	UserUnit string `json:"user_unit,omitempty"`
	Slice    string `json:"slice,omitempty"`
	// Listens are the sockets on which it waits for others: listening TCP, and UDP that
	// has a port and no peer.
	Listens []Listen `json:"listens,omitempty"`

	// Capability sets, hexadecimal (capabilities(7)).
	CapInh string `json:"cap_inh,omitempty"`
	CapPrm string `json:"cap_prm,omitempty"`
	CapEff string `json:"cap_eff,omitempty"`
	CapBnd string `json:"cap_bnd,omitempty"`
	CapAmb string `json:"cap_amb,omitempty"`
	// Seccomp is "strict" or "filter" with so many filters; absent when it is off.
	Seccomp        string  `json:"seccomp,omitempty"`
	SeccompFilters int     `json:"seccomp_filters,omitempty"`
	NoNewPrivs     bool    `json:"no_new_privs,omitempty"`
	Groups         []int64 `json:"groups,omitempty"` // supplementary
	SUID           int64   `json:"suid"`             // saved set-user-ID; -1 when not known
	FSUID          int64   `json:"fsuid"`
	SGID           int64   `json:"sgid"`
	FSGID          int64   `json:"fsgid"`
	Umask          string  `json:"umask,omitempty"` // octal

	// Label is what a security module calls it (attr/current), such as
	// "unconfined_u:…" of SELinux or "nginx (enforce)" of AppArmor.
	Label     string `json:"label,omitempty"`
	LabelRaw  []byte `json:"label_b64,omitempty"`
	LoginUID  int64  `json:"login_uid"` // who signed in at the beginning (audit); -1 for nobody
	SessionID int64  `json:"session_id,omitempty"`
	OOMScore  int    `json:"oom_score_adj,omitempty"`
	Root      string `json:"root,omitempty"` // absent when it is "/"
	RootRaw   []byte `json:"root_b64,omitempty"`

	VMPeakKB int64 `json:"vm_peak_kb,omitempty"`
	VMHWMKB  int64 `json:"vm_hwm_kb,omitempty"`  // most memory that it ever had resident
	VMSwapKB int64 `json:"vm_swap_kb,omitempty"` //

	// Threads are its threads beside the first one.
	Threads    []Thread `json:"threads,omitempty"`
	ThreadsCut bool     `json:"threads_cut,omitempty"`
	// Unread names what the system did not let the agent read.
	Unread []string `json:"unread,omitempty"`
}

// Listen is one socket that waits.
type Listen struct {
	Proto string `json:"proto"` // tcp, udp
	Addr  string `json:"addr"`
	Port  uint16 `json:"port"`
}

// Thread is one thread; it chooses its name itself.
type Thread struct {
	TID     int    `json:"tid"`
	Comm    string `json:"comm,omitempty"`
	CommRaw []byte `json:"comm_b64,omitempty"`
}

// AppendJSON appends p as one JSON object.
func (p *ProcState) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = numAlways(b, "pid", p.PID)
	b = unumAlways(b, "start_ticks", p.StartTicks)
	b = str(b, "comm", p.Comm)
	b = str(b, "unit", p.Unit)
	b = str(b, "user_unit", p.UserUnit)
	b = str(b, "slice", p.Slice)
	if len(p.Listens) > 0 {
		b = append(key(b, "listens"), '[')
		for i := range p.Listens {
			if i > 0 {
				b = append(b, ',')
			}
			l := &p.Listens[i]
			b = strAlways(append(b, '{'), "proto", l.Proto)
			b = strAlways(b, "addr", l.Addr)
			b = append(unumAlways(b, "port", l.Port), '}')
		}
		b = append(b, ']')
	}
	b = str(b, "cap_inh", p.CapInh)
	b = str(b, "cap_prm", p.CapPrm)
	b = str(b, "cap_eff", p.CapEff)
	b = str(b, "cap_bnd", p.CapBnd)
	b = str(b, "cap_amb", p.CapAmb)
	b = str(b, "seccomp", p.Seccomp)
	b = num(b, "seccomp_filters", p.SeccompFilters)
	b = flag(b, "no_new_privs", p.NoNewPrivs)
	b = nums(b, "groups", p.Groups)
	b = numAlways(b, "suid", p.SUID)
	b = numAlways(b, "fsuid", p.FSUID)
	b = numAlways(b, "sgid", p.SGID)
	b = numAlways(b, "fsgid", p.FSGID)
	b = str(b, "umask", p.Umask)
	b = str(b, "label", p.Label)
	b = b64(b, "label_b64", p.LabelRaw)
	b = numAlways(b, "login_uid", p.LoginUID)
	b = num(b, "session_id", p.SessionID)
	b = num(b, "oom_score_adj", p.OOMScore)
	b = str(b, "root", p.Root)
	b = b64(b, "root_b64", p.RootRaw)
	b = num(b, "vm_peak_kb", p.VMPeakKB)
	b = num(b, "vm_hwm_kb", p.VMHWMKB)
	b = num(b, "vm_swap_kb", p.VMSwapKB)
	if len(p.Threads) > 0 {
		b = append(key(b, "threads"), '[')
		for i := range p.Threads {
			if i > 0 {
				b = append(b, ',')
			}
			t := &p.Threads[i]
			b = numAlways(append(b, '{'), "tid", t.TID)
			b = str(b, "comm", t.Comm)
			b = append(b64(b, "comm_b64", t.CommRaw), '}')
		}
		b = append(b, ']')
	}
	b = flag(b, "threads_cut", p.ThreadsCut)
	b = strs(b, "unread", p.Unread)
	return append(b, '}')
}
