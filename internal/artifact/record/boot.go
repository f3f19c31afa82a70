package record

import (
	"strconv"
	"time"
)

// SchemaBoot is the schema of [Boot].
const SchemaBoot = "hozen.boot/1"

// The values of Boot.Verdict: how the boot before this one ended. They are stable.
const (
	BootCleanWithCapture    = "clean_with_capture"    // orderly, and evidence of its last moments is sealed
	BootCleanWithoutCapture = "clean_without_capture" // orderly, without such evidence
	BootForced              = "forced"                // somebody told the system manager to go down without stopping anything
	BootCrash               = "crash"                 // a record of the crash was found
	BootPowerLoss           = "power_loss"            // the platform says that the power went away
	BootAbrupt              = "abrupt"                // without an orderly shutdown: crash, forced reset or power loss; which is not known
	BootUnknown             = "unknown"               // too few sources, or they contradict each other: see Boot.Reason
	BootAgentRestarted      = "agent_restarted"       // this boot had an agent before: nothing to judge
	BootFirstRun            = "first_run"             // the agent remembers no earlier boot: nothing to judge
)

// The values of Boot.Reason.
const (
	BootReasonTwoSources   = "two_sources"  // two or more independent sources agree
	BootReasonOneSource    = "one_source"   // a single source speaks; not enough for a verdict
	BootReasonNoSource     = "no_source"    // no source says how it ended
	BootReasonDisagreement = "disagreement" // the sources contradict each other; all of them are listed
	BootReasonSameBoot     = "same_boot"    // see BootAgentRestarted
	BootReasonNoMemory     = "no_memory"    // see BootFirstRun
	BootReasonNoBootID     = "no_boot_id"   // the system does not say which boot this is
)

// Boot is the judgement, at the first start of the agent in a boot, of how a boot before
// it ended. An artifact has one line of it. "This boot" is the one that followed that.
type Boot struct {
	Verdict        string `json:"verdict"`
	Reason         string `json:"reason"`
	BootID         string `json:"boot_id,omitempty"`
	PreviousBootID string `json:"previous_boot_id,omitempty"`

	// Basis is every source that was asked, also those that had nothing to say.
	Basis []BootBasis `json:"basis,omitempty"`

	AskedBy BootAsked `json:"asked_by,omitzero"`

	// The end lies between the newest thing that was seen of the old boot and the
	// beginning of this one; its moment is not known.
	EndedAfter  time.Time `json:"previous_ended_after,omitzero"`
	EndedBefore time.Time `json:"previous_ended_before,omitzero"`
	// ClockContradicts says that the wall clock went backwards between the two boots or
	// within the old one; the times and gaps are then worth nothing.
	ClockContradicts bool `json:"clock_contradicts,omitempty"`

	// LastEvidenceAt is the newest evidence of the old boot: the recorder's last entry or
	// the sealed acquisition at shutdown.
	LastEvidenceAt time.Time `json:"last_evidence_at,omitzero"`
	Gap            BootGap   `json:"gap,omitzero"`

	Shutdown BootShutdown `json:"shutdown,omitzero"`
	// Dumps are the kernel's crash records that were found, see pstore.
	Dumps []BootDump `json:"dumps,omitempty"`
}

// BootBasis is what one source says.
type BootBasis struct {
	Source string `json:"source"` // boot_id, recorder, shutdown_record, wtmp, journal, kernel_log, fsck, pstore, kdump, reset_reason, watchdog, shutdown_time, crash_dump, event_log, kernel_power
	// Witness groups sources that are not independent of each other: agent, wtmp,
	// journal, file_system, kernel, platform, windows, event_log.
	Witness string    `json:"witness"`
	Read    string    `json:"read"`             // ok, absent, denied, unread
	Says    string    `json:"says,omitempty"`   // stable code; absent where there is nothing to say
	Leans   string    `json:"leans,omitempty"`  // orderly, forced, crash, power_loss, abrupt, abrupt_weak; absent: says nothing of how
	At      time.Time `json:"at,omitzero"`      // when it happened, by the endpoint's wall clock
	Detail  string    `json:"detail,omitempty"` // what the system wrote, shortened
}

// BootAsked is who or what asked for the shutdown.
type BootAsked struct {
	By    string `json:"by,omitempty"`    // stable code: logind, power_key, ctrl_alt_del, signal, system_manager, preserve
	Type  string `json:"type,omitempty"`  // poweroff, reboot, halt, kexec, soft-reboot
	Who   string `json:"who,omitempty"`   // what the system wrote of the asker, in its words; or the uid, pid and tty that the agent was told
	Basis string `json:"basis,omitempty"` // the sources, joined by +
}

// BootGap is the time without evidence before the end: at least AtLeast
// and at most AtMost. Known is false where one of the moments is missing or the clocks
// contradict each other.
type BootGap struct {
	Known     bool  `json:"known"`
	AtLeastNS int64 `json:"at_least_ns"`
	AtMostNS  int64 `json:"at_most_ns"`
}

// BootShutdown is what the agent noted while the old boot went down.
type BootShutdown struct {
	NoticedAt     time.Time `json:"noticed_at,omitzero"`
	SealedAt      time.Time `json:"sealed_at,omitzero"`
	ReleasedAt    time.Time `json:"released_at,omitzero"`
	AddedDelayNS  int64     `json:"added_delay_ns,omitempty"`
	AcquisitionID string    `json:"acquisition_id,omitempty"`
}

// BootDump is one crash record.
type BootDump struct {
	Name string    `json:"name"`
	Size int64     `json:"size"` // bytes
	At   time.Time `json:"at,omitzero"`
}

// AppendJSON appends o as one JSON object.
func (o *Boot) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "verdict", o.Verdict)
	b = strAlways(b, "reason", o.Reason)
	b = str(b, "boot_id", o.BootID)
	b = str(b, "previous_boot_id", o.PreviousBootID)
	if len(o.Basis) > 0 {
		b = append(key(b, "basis"), '[')
		for i := range o.Basis {
			b = o.Basis[i].append(comma(b, i))
		}
		b = append(b, ']')
	}
	if o.AskedBy != (BootAsked{}) {
		b = append(key(b, "asked_by"), '{')
		b = str(b, "by", o.AskedBy.By)
		b = str(b, "type", o.AskedBy.Type)
		b = str(b, "who", o.AskedBy.Who)
		b = str(b, "basis", o.AskedBy.Basis)
		b = append(b, '}')
	}
	b = when(b, "previous_ended_after", o.EndedAfter)
	b = when(b, "previous_ended_before", o.EndedBefore)
	b = flag(b, "clock_contradicts", o.ClockContradicts)
	b = when(b, "last_evidence_at", o.LastEvidenceAt)
	if o.Gap != (BootGap{}) {
		b = append(key(b, "gap"), '{')
		b = strconv.AppendBool(key(b, "known"), o.Gap.Known)
		b = numAlways(b, "at_least_ns", o.Gap.AtLeastNS)
		b = numAlways(b, "at_most_ns", o.Gap.AtMostNS)
		b = append(b, '}')
	}
	if s := &o.Shutdown; *s != (BootShutdown{}) {
		b = append(key(b, "shutdown"), '{')
		b = when(b, "noticed_at", s.NoticedAt)
		b = when(b, "sealed_at", s.SealedAt)
		b = when(b, "released_at", s.ReleasedAt)
		b = num(b, "added_delay_ns", s.AddedDelayNS)
		b = str(b, "acquisition_id", s.AcquisitionID)
		b = append(b, '}')
	}
	if len(o.Dumps) > 0 {
		b = append(key(b, "dumps"), '[')
		for i := range o.Dumps {
			d := &o.Dumps[i]
			b = append(comma(b, i), '{')
			b = strAlways(b, "name", d.Name)
			b = numAlways(b, "size", d.Size)
			b = when(b, "at", d.At)
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func (o *BootBasis) append(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "source", o.Source)
	b = strAlways(b, "witness", o.Witness)
	b = strAlways(b, "read", o.Read)
	b = str(b, "says", o.Says)
	b = str(b, "leans", o.Leans)
	b = when(b, "at", o.At)
	b = str(b, "detail", o.Detail)
	return append(b, '}')
}

// comma separates the elements of a list.
func comma(b []byte, i int) []byte {
	if i == 0 {
		return b
	}
	return append(b, ',')
}
