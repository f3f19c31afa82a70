// Package artifact is the data model of evidence as an agent hands it over: kinds,
// outcomes and the manifest that binds one acquisition together. It is pure data:
// no file, no network, no clock. The format is described in internal/docs/design/evidence-format.md.
package artifact

import "time"

// Kind names one family of evidence. Kinds are stable for ever: they stand in
// manifests, file names and translations.
type Kind string

// The kinds of this version.
const (
	KindProcess   Kind = "process"
	KindNetConn   Kind = "netconn"
	KindOpenFile  Kind = "openfile"
	KindExeHash   Kind = "exehash"
	KindSession   Kind = "session"
	KindNetConfig Kind = "netconfig"
	KindHostInfo  Kind = "hostinfo"
	KindClock     Kind = "clock"
	KindFlight    Kind = "flight"    // the flight recorder: what happened before
	KindShutdown  Kind = "shutdown"  // the notice that the PC goes down
	KindBoot      Kind = "boot"      // how the boot before this one ended
	KindPreserve  Kind = "preserve"  // the decision to take evidence and then switch off
	KindIsolation Kind = "isolation" // the network isolation as measured
	KindSevered   Kind = "severed"   // the connections that existed when the network was cut
	KindSelfTest  Kind = "selftest"  // what the agent found out about itself
	KindKit       Kind = "kit"       // what the person said who acquired with a USB kit

	KindProcState  Kind = "procstate"  // what processes may do, belong to and listen on
	KindProcMap    Kind = "procmap"    // what is mapped into processes
	KindProcEnv    Kind = "procenv"    // the environments of processes
	KindDeletedExe Kind = "deletedexe" // the bytes of running programs without a name on a disk
	KindFileLock   Kind = "filelock"   // the locks on files
	KindCrossView  Kind = "crossview"  // what different views of one thing say: what is hidden
	KindFootprint  Kind = "footprint"  // what the acquisition itself cost

	KindStorage   Kind = "storage"   // mounts, swap and block devices, and what is encrypted
	KindKmod      Kind = "kmod"      // kernel modules, and what taints the kernel
	KindNetfilter Kind = "netfilter" // the packet filter's rules
	KindConntrack Kind = "conntrack" // the connections that the packet filter follows
	KindAutostart Kind = "autostart" // what starts by itself: units, timers, cron
	KindBPF       Kind = "bpf"       // programs, maps and attachments of eBPF
	KindLogin     Kind = "login"     // sign-ins of the past
	KindUSB       Kind = "usb"       // devices on the USB
	KindSysctl    Kind = "sysctl"    // settings of the kernel that matter
	KindShared    Kind = "shared"    // shared memory and the files of temporary folders
	KindKeyring   Kind = "keyring"   // the kernel's keyrings, names only
	KindNamespace Kind = "namespace" // namespaces and containers
	KindDNSCache  Kind = "dnscache"  // what the PC's own resolver remembers
	KindSecurity  Kind = "security"  // the security tools in place and their state
	KindKernLog   Kind = "kernlog"   // the kernel's own log

	KindBodyFile   Kind = "bodyfile"   // names and times of what lies in chosen folders
	KindLogFile    Kind = "logfile"    // copies of logs
	KindHistory    Kind = "history"    // copies of the histories of shells and tools
	KindStartFile  Kind = "startfile"  // copies of files by which something starts
	KindUserFile   Kind = "userfile"   // copies of private files, where the scope allows it
	KindPkgCheck   Kind = "pkgcheck"   // files against what their packages say of them
	KindProcIO     Kind = "procio"     // what processes read and write
	KindFileStat   Kind = "filestat"   // what changed lately, by extension and folder
	KindRansomNote Kind = "ransomnote" // copies of what may be demands for ransom
	KindBackup     Kind = "backup"     // names of snapshots, and of what backup programs keep
)

// Outcome says how the reading of one family ended. Absence is evidence too, so
// every probe of a plan has one.
type Outcome string

// The outcomes. See [Outcome.Usable].
const (
	Complete    Outcome = "complete"
	Partial     Outcome = "partial"
	Empty       Outcome = "empty"
	Unsupported Outcome = "unsupported"
	Denied      Outcome = "denied"
	TimedOut    Outcome = "timed_out"
	Interrupted Outcome = "interrupted"
	Failed      Outcome = "failed"
	NotStarted  Outcome = "not_started"
)

// Valid reports whether o is one of the outcomes above.
func (o Outcome) Valid() bool {
	switch o {
	case Complete, Partial, Empty, Unsupported, Denied, TimedOut, Interrupted, Failed, NotStarted:
		return true
	}
	return false
}

// Trigger says why an acquisition was run.
type Trigger string

// The triggers of this version.
const (
	TriggerCommand   Trigger = "command"         // an operator asked for it
	TriggerIsolation Trigger = "isolation"       // the flash capture before a network isolation
	TriggerAlert     Trigger = "alert"           // the PC's user reported trouble
	TriggerManual    Trigger = "manual"          // hozen-agent acquire
	TriggerShutdown  Trigger = "shutdown"        // the PC goes down
	TriggerSuspend   Trigger = "suspend"         // the PC goes to sleep
	TriggerBoot      Trigger = "boot"            // the first start of the agent since the PC booted
	TriggerPreserve  Trigger = "preserve"        // somebody wants to keep the evidence and then switch off
	TriggerProof     Trigger = "isolation_proof" // the network was isolated or released, or an isolation changed
)

// Format is the first field of every manifest of this version.
const Format = "hozen-manifest/1"

// Names of the files beside artifacts/ in the folder of an acquisition.
const (
	ManifestFile  = "manifest.json"
	SignatureFile = "manifest.json.sig" // detached ECDSA P-256/SHA-256 signature, ASN.1 DER, over the exact bytes of ManifestFile
	SignerFile    = "signer.pem"        // the signer's public key, PEM "PUBLIC KEY"
	CertFile      = "signer-cert.pem"   // the signer's certificate and its issuer, when the agent is enrolled
	ReceiptFile   = "receipt.json"      // the collector's signed receipt, when there is one
	ReceiptCAFile = "receipt-ca.pem"    // the CA of the receipt, where no CertFile has it: of a one-time key
	ArtifactDir   = "artifacts"
)

// Manifest binds the artifacts of one acquisition: what was asked for, what came
// of it, and the digest of every byte. All times are UTC, RFC 3339 with nanoseconds.
type Manifest struct {
	Format        string         `json:"format"`
	AcquisitionID string         `json:"acquisition_id"`
	EndpointID    string         `json:"endpoint_id,omitempty"` // empty before enrolment
	Trigger       Trigger        `json:"trigger"`
	CommandID     string         `json:"command_id,omitempty"`
	AlertID       string         `json:"alert_id,omitempty"`
	IncidentID    string         `json:"incident_id,omitempty"`
	Profile       string         `json:"profile"`
	Host          Host           `json:"host"`
	Tool          Tool           `json:"tool"`
	StartedAt     Instant        `json:"started_at"`
	FinishedAt    Instant        `json:"finished_at"`
	Outcome       Outcome        `json:"outcome"` // of the whole: complete, partial, interrupted or failed
	Probes        []ProbeOutcome `json:"probes"`  // in the order of the plan
	Artifacts     []Entry        `json:"artifacts"`
	Signer        Signer         `json:"signer"`
	// Checkpoint is the signed state of the collector's ledger that the endpoint had seen. It
	// stands in manifests only after a collector has shown one, so that none gets a name
	// that it does not know.
	Checkpoint *Checkpoint `json:"checkpoint,omitempty"`
}

// Checkpoint is what an endpoint holds as a witness of the custody ledger.
type Checkpoint struct {
	Origin     string `json:"origin"`
	Size       int64  `json:"size"`
	RootSHA256 string `json:"root_sha256"`
	// Conflicts counts the states that it was shown and that do not go on from what it saw.
	Conflicts int `json:"conflicts,omitempty"`
}

// Instant is one moment on both clocks of the endpoint. The wall clock is recorded
// as it was, never corrected.
type Instant struct {
	Wall   time.Time `json:"wall"`
	BootNS int64     `json:"boot_ns"` // nanoseconds since boot, sleep included (CLOCK_BOOTTIME); 0 when unknown
}

// Host identifies the endpoint as it described itself.
type Host struct {
	Hostname string `json:"hostname"`
	OS       string `json:"os"`   // GOOS
	Arch     string `json:"arch"` // GOARCH
	BootID   string `json:"boot_id"`
}

// Tool identifies the program that acquired.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Commit  string `json:"commit"`
	SHA256  string `json:"sha256"` // of the executable file; empty when it could not be read
}

// ProbeOutcome is the line of one probe of the plan.
type ProbeOutcome struct {
	Kind       Kind    `json:"kind"`
	BudgetNS   int64   `json:"budget_ns"`
	StartedAt  Instant `json:"started_at"`
	DurationNS int64   `json:"duration_ns"`
	Outcome    Outcome `json:"outcome"`
	Detail     string  `json:"detail,omitempty"` // what is missing and why, English, for experts
	Records    int64   `json:"records"`
	Skipped    int64   `json:"skipped,omitempty"` // things seen but not readable, counted
}

// Entry is one artifact: what was read (plain) and what lies in the file (stored).
type Entry struct {
	Name        string   `json:"name"` // artifacts/<kind>.jsonl.zst
	Kind        Kind     `json:"kind"`
	Schema      string   `json:"schema"` // hozen.<kind>/<version>
	Records     int64    `json:"records"`
	Compression string   `json:"compression"` // "zstd" or "none"
	Envelope    Envelope `json:"envelope"`
	Plain       Content  `json:"plain"`
	Stored      Content  `json:"stored"`
}

// Envelope says how the stored bytes are sealed against reading.
type Envelope struct {
	Scheme string `json:"scheme"` // "none" in this version
}

// Content is a digest and a size in bytes.
type Content struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Signer identifies the key that signed the manifest.
type Signer struct {
	Algorithm string `json:"algorithm"`          // "ecdsa-p256-sha256"
	KeySHA256 string `json:"key_sha256"`         // SHA-256 of the DER SubjectPublicKeyInfo
	OneTime   bool   `json:"one_time,omitempty"` // made for this acquisition alone (no enrolment)
}
