package console

import (
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/group"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/notify"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/phone"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/i18n"
	"hozen/internal/i18n/i18ntest"
	"hozen/internal/profile"
)

func TestTextsAreInParity(t *testing.T) { i18ntest.Parity(t, sub("translations")) }

// TestEveryTextThatPagesNameExists reads the templates for the keys that they name.
func TestEveryTextThatPagesNameExists(t *testing.T) {
	p := i18ntest.Parity(t, sub("translations")).Printer(i18n.Japanese)
	names := regexp.MustCompile(`\bt "([^"]+)"`)
	templates, err := fs.Glob(files, "templates/*.html")
	must(t, err)
	n := 0
	for _, name := range templates {
		text, err := fs.ReadFile(files, name)
		must(t, err)
		for _, m := range names.FindAllStringSubmatch(string(text), -1) {
			if n++; !p.Has(m[1]) {
				t.Errorf("%s names %q, which has no text", name, m[1])
			}
		}
	}
	if n < 300 {
		t.Errorf("only %d names were found: the expression is wrong", n)
	}
}

// TestEveryValueHasAWord goes over the values that pages show as words.
func TestEveryValueHasAWord(t *testing.T) {
	p := i18ntest.Parity(t, sub("translations")).Printer(i18n.English)
	want := func(prefix string, values ...string) {
		for _, v := range values {
			if !p.Has(prefix + v) {
				t.Errorf("%s%s has no text", prefix, v)
			}
		}
	}
	for _, r := range operator.Roles() {
		want("role.", string(r))
	}
	for _, c := range incident.Classifications() {
		want("classification.", string(c))
	}
	for _, s := range []endpoint.State{endpoint.Unknown, endpoint.Released, endpoint.Isolating, endpoint.Isolated, endpoint.Releasing, endpoint.Failed} {
		want("isolation.state.", string(s))
	}
	for _, v := range []dispatch.Verb{dispatch.Acquire, dispatch.Isolate, dispatch.Release, dispatch.Preserve} {
		want("verb.", string(v))
		want("order."+string(v), ".title", ".do", ".button", ".done", ".example")
		want("timeline.command.", string(v))
	}
	for _, s := range []dispatch.Status{dispatch.Queued, dispatch.Accepted, dispatch.Done, dispatch.Failed, dispatch.Expired, dispatch.Unsupported, dispatch.Refused, dispatch.Withdrawn, dispatch.NotDown} {
		want("command.status.", string(s))
	}
	for _, o := range []artifact.Outcome{artifact.Complete, artifact.Partial, artifact.Empty, artifact.Unsupported, artifact.Denied, artifact.TimedOut, artifact.Interrupted, artifact.Failed, artifact.NotStarted} {
		want("outcome.", string(o))
	}
	for _, k := range []artifact.Kind{artifact.KindProcess, artifact.KindNetConn, artifact.KindOpenFile, artifact.KindExeHash, artifact.KindSession, artifact.KindNetConfig, artifact.KindHostInfo, artifact.KindClock,
		artifact.KindFlight, artifact.KindShutdown, artifact.KindBoot, artifact.KindPreserve, artifact.KindIsolation, artifact.KindSevered, artifact.KindSelfTest, artifact.KindKit,
		artifact.KindProcState, artifact.KindProcMap, artifact.KindProcEnv, artifact.KindDeletedExe, artifact.KindFileLock, artifact.KindCrossView, artifact.KindFootprint, artifact.KindMemory, artifact.KindMemRange, artifact.KindKernel, artifact.KindKallsyms, artifact.KindBTF, artifact.KindSystemMap, artifact.KindKconfig, artifact.KindLogin, artifact.KindBPF, artifact.KindSysctl, artifact.KindUSB, artifact.KindKeyring, artifact.KindAutostart, artifact.KindShared, artifact.KindNetfilter, artifact.KindConntrack, artifact.KindKmod, artifact.KindStorage,
		artifact.KindNamespace, artifact.KindDNSCache, artifact.KindSecurity, artifact.KindKernLog,
		artifact.KindBodyFile, artifact.KindLogFile, artifact.KindHistory, artifact.KindStartFile, artifact.KindUserFile, artifact.KindPkgCheck, artifact.KindProcIO, artifact.KindFileStat, artifact.KindRansomNote, artifact.KindBackup, artifact.KindProcDump, artifact.KindProcDumped} {
		want("kind.", string(k))
	}
	for _, st := range act.ScanStates() {
		want("scan.state.", string(st))
	}
	for _, l := range act.ScanLacks() {
		want("scan.lack.", string(l))
	}
	for _, k := range act.ScanKinds() {
		want("kind.", string(k))
	}
	for _, c := range evidence.Codes() {
		want("refusal.", string(c))
	}
	for _, p := range append(profile.All(), profile.OfProcess()) {
		want("profile."+p.Name, "", ".hint")
	}
	for _, k := range []incident.EntryKind{incident.EntryNote, incident.EntryOpened, incident.EntryJoined, incident.EntryClosed, incident.EntryAlert, incident.EntryCommand, incident.EntryResult, incident.EntryEvidence, incident.EntryRefused, incident.EntryIsolation, incident.EntryIsolationEvent, incident.EntrySevered, incident.EntryLedgerDiffers, incident.EntryBoot, incident.EntryExport, incident.EntryOlder,
		incident.EntryAnswer, incident.EntryDecision, incident.EntryEnquiry, incident.EntryReopened, incident.EntryMerged, incident.EntryMergedIn, incident.EntrySplit, incident.EntrySplitFrom, incident.EntryUpload, incident.EntrySearch} {
		want("timeline.", string(k))
	}
	for _, name := range pageNames() {
		if !slices.Contains([]string{"error", "endpoint_show", "endpoint_order", "group_new", "group_show", "help_page", "incident_answer", "link_show", "incident_show", "connection_map", "connection_table", "flight_table", "process_show", "process_table", "process_tree", "record_table", "report_new", "report_show"}, name) {
			want("title.", name)
		}
	}
	for _, c := range []string{"not_found", "forbidden", "conflict", "invalid", "form", "too_large", "cross_origin", "host", "scheme", "bytes", "slow", "unavailable", "internal", "too_late", "busy"} {
		want("error."+c, ".title", ".next")
	}
	for _, c := range []string{"required", "too_long", "too_short", "unknown", "in_use", "weak", "range", "malformed", "changed"} {
		want("invalid.", c)
	}
	isolationWords(want)
	for _, then := range thens() {
		want("then.", string(then))
		want("order.preserve.then.", string(then))
		if then.Down() {
			want("step.down.", string(then))
			want("progress.not_down.", string(then))
			want("timeline.result.not_down.", string(then))
		}
	}
	for _, trigger := range []artifact.Trigger{artifact.TriggerCommand, artifact.TriggerIsolation, artifact.TriggerAlert, artifact.TriggerManual,
		artifact.TriggerShutdown, artifact.TriggerSuspend, artifact.TriggerBoot, artifact.TriggerPreserve, artifact.TriggerProof} {
		want("trigger.", string(trigger))
	}
	want("boot.verdict.", record.BootCleanWithCapture, record.BootCleanWithoutCapture, record.BootForced, record.BootCrash, record.BootPowerLoss,
		record.BootAbrupt, record.BootUnknown, record.BootAgentRestarted, record.BootFirstRun, endpoint.Unreadable)
	want("boot.reason.", record.BootReasonTwoSources, record.BootReasonOneSource, record.BootReasonNoSource, record.BootReasonDisagreement, record.BootReasonNoBootID)
	want("boot.leans.", "orderly", "forced", "crash", "power_loss", "abrupt", "abrupt_weak", "none")
	want("boot.source.", "boot_id", "recorder", "shutdown_record", "wtmp", "journal", "kernel_log", "fsck", "pstore", "kdump", "reset_reason", "watchdog", "shutdown_time", "crash_dump")
	want("asked.by.", "power_key", "ctrl_alt_del", "signal", "logind", "system_manager", "preserve")
	want("boot.read.", "ok", "absent", "denied", "unread")
	want("flight.event.", "process_started", "process_ended", "process_renamed", "process_ids", "process_traced", "process_dumped", "process_listed", "connection_opened",
		"connection_closed", "connection_changed", "connection_listed", "snapshot", "heartbeat", "gap", "mark", "clock_step", "slept", "throttled", "unknown")
}

// isolationWords are the values that pages about isolation show.
func isolationWords(want func(prefix string, values ...string)) {
	for _, k := range []endpoint.IsolationEventKind{endpoint.EventDrift, endpoint.EventNotInForce, endpoint.EventReleasedByCode, endpoint.EventCodeRefused, endpoint.EventReleasedByTime, endpoint.EventRolledBack,
		endpoint.EventLeaseLapsed, endpoint.EventRecordLost, endpoint.EventLeak, endpoint.EventReleasedByUninstall, endpoint.EventPermitEnded, endpoint.EventTunnelChanged, endpoint.EventOthersRules} {
		want("isolation.event.", string(k))
		want("timeline.isolation_event.", string(k))
	}
	for _, m := range modes() {
		want("isolation.mode.", string(m))
		want("isolate.mode.", string(m)+".hint")
	}
	want("isolate.lasts.", lasts()[1:]...)
	want("isolate.confirm.", confirms()[1:]...)
	want("isolation.fallback.", string(dispatch.StayClosed), string(dispatch.RollBack))
	want("isolation.held.", "here", "elsewhere", "nobody", "open")
	want("isolation.confirm.", "confirmed", "waiting", "missed")
	want("trial.", "tcp", "udp", "dns", "icmp", "raw", "raw_bypass", "loopback", "own", "collector", "permit", "in_tcp")
	want("trial.result.", "cut", "passes", "leaks", "shut", "unknown")
	want("trial.reason.", "answered", "left", "no_answer", endpoint.ReasonOld, "no_control", "stale_control", "no_counter", "no_rights", "no_address", "error", endpoint.ReasonUnseen, endpoint.ReasonPermits, endpoint.ReasonNotTried)
	for _, s := range act.ServiceCodes() {
		want("service.", string(s))
	}
	want("rail.", string(act.RailShare), string(act.RailCollectorHost), string(act.RailOperatorHere), string(act.RailAlone))
	want("rail.short.", string(act.RailCollectorHost), string(act.RailOperatorHere))
	for _, r := range operator.Roles() {
		want("role.can.", string(r))
	}
	want("actor.", string(act.ByOperator), string(act.ByEndpoint), string(act.BySystem), string(act.ByLocal), string(act.ByLink))
	for _, k := range []phone.Kind{phone.Reports, phone.Photos} {
		for _, life := range k.Lives() {
			want("link.hours.", strconv.Itoa(int(life.Hours())))
		}
	}
	want("timeline.access.", "grant", "end_grant", "link", "end_link")
	want("left_out.", string(act.LeftOutRevoked), string(act.LeftOutServer), string(act.LeftOutOldAgent), string(act.LeftOutIncapable), string(act.LeftOutAlready), string(act.LeftOutAway), string(act.LeftOutClosed))
	for _, d := range []deed{isolateAll, releaseAll, drillAll} {
		want("group.deed.", string(d))
		want("group."+string(d), ".title", ".example", ".do", ".done", ".button")
	}
	want("group.phase.", string(group.Capturing), string(group.Ordered))
	want("group.state.", "left_out", "capturing", "next", "waiting", "sent", "working", "done", "failed", "ended")
	want("group.count.", "isolated", "released", "drilled", "working", "waiting", "trouble", "unknown")
	want("score.leaks.", "none", "some", "unknown")
	want("score.way_home.", "yes", "no", "unknown")
	want("score.released.", "yes", "no", "other", "waiting", "unknown")
	want("ledger.act.", "export.order", "export.open", "export.written", "endpoint.clock", "endpoint.isolation_event", "endpoint.release_code", "endpoint.place", "dispatch.ask_release", "dispatch.refuse_release", "organisation.isolation", "organisation.triage", "group.isolate", "group.release", "group.ask", "group.refuse",
		"operator.factor_begin", "operator.factor_on", "operator.factor_off", "operator.factor_reset", "operator.recovery_used", "operator.recovery_new", "operator.address", "operator.end_sessions", "operator.role", "phone.link", "phone.revoke", "phone.report", "organisation.own_steps",
		"operator.grant", "operator.end_grant", "organisation.people", "notify.channel", "notify.channel_remove", "notify.test")
	for _, k := range append(notify.Kinds(), notify.Test) {
		want("notice.event.", string(k))
	}
	for _, k := range notify.ChannelKinds() {
		want("notice.kind.", string(k))
		want("notice.lead.", string(k))
	}
	want("notice.state.", string(notify.Waiting), string(notify.Sent), string(notify.Failed), string(notify.Dropped))
	want("timeline.command.", "ask_release", "show_release_code", "ask_group", "refuse_group", "give_up_group", "revoke_endpoint")
	want("timeline.export.", "form", "taken")
	want("timeline.custody.", "describe")
	want("invalid.", "out_of_range", "conflict", "too_many", "too_wide", "unresolved", "old_agent", "nobody")
}

// TestEveryActOfTheLedgerHasAWord looks at what really stands in a ledger.
func TestEveryActOfTheLedgerHasAWord(t *testing.T) {
	x := newOffice(t, 5)
	r := x.as("owner", "en").get("/ledger").want(t, 200)
	for _, m := range regexp.MustCompile(`data-label="Act">([^<]*) <small`).FindAllStringSubmatch(r.body, -1) {
		if strings.Contains(m[1], ".") {
			t.Errorf("the act %q has no text", m[1])
		}
	}
}

// TestRefusedEvidenceIsExplained: why, of which list, and how many more, in the person's words.
func TestRefusedEvidenceIsExplained(t *testing.T) {
	p := i18ntest.Parity(t, sub("translations")).Printer(i18n.Japanese)
	view := viewTimeline(p, []incident.Entry{{Kind: incident.EntryRefused, Params: map[string]string{"endpoint": "end_x", "code": "other_key", "part": "artifacts/process.jsonl.zst", "detail": "x", "suppressed": "7"}},
		{Kind: incident.EntryRefused, Params: map[string]string{"code": "malformed", "part": "artifacts/\u202e.zst"}}}, nil)
	if e := view[1]; !strings.Contains(e.Sentence, "鍵で暗号化") || strings.Join(e.Facts, " ") != "受け入れられなかったデータ: "+p.Text("kind.process")+" この前に、短い時間に続いた受け入れの拒否が7件あります（個別には記録していません）。" {
		t.Errorf("%q %q", e.Sentence, e.Facts)
	}
	if e := view[0]; len(e.Facts) != 1 || !strings.Contains(e.Facts[0], "U+202E") {
		t.Errorf("%q", e.Facts)
	}
}

func TestTimelineSaysUnknownWhereItDoesNotKnow(t *testing.T) {
	p := i18ntest.Parity(t, sub("translations")).Printer(i18n.Japanese)
	for _, k := range []incident.EntryKind{incident.EntryOpened, incident.EntryCommand, incident.EntryResult, incident.EntryEvidence, incident.EntryRefused, incident.EntryIsolation, incident.EntryAlert, incident.EntryBoot, incident.EntryOlder, "from_the_future"} {
		s := sentence(p, incident.Entry{Kind: k}, nil)
		if strings.ContainsAny(s, "{}⟦") {
			t.Errorf("%s: %q has a hole", k, s)
		}
	}
	if s := sentence(p, incident.Entry{Kind: incident.EntryAlert, Params: map[string]string{"endpoint": "end_x", "reporter": "hozen-agent"}}, nil); s != "end_x のエージェントから知らせがありました。" {
		t.Errorf("the agent's own word is told as a person's: %s", s)
	}
	if s := sentence(p, incident.Entry{Kind: incident.EntrySevered, Params: map[string]string{"endpoint": "end_x", "n": "0", "failed": "3"}}, nil); s != "end_x の遮断で、つながっていた通信のうち切れないものがありました。" {
		t.Errorf("a cut that ended nothing says %q", s)
	}
	s := sentence(p, incident.Entry{Kind: incident.EntryResult, Params: map[string]string{"command": "isolate", "endpoint": "end_x", "status": "done", "observed": "isolated"}}, map[string]string{"end_x": "経理\u202ePC"})
	if want := "経理⟨U+202E⟩PC:「隔離して保全」の結果は「完了」です。測定した状態は「隔離済み」です。"; s != want {
		t.Errorf("got %q, want %q", s, want)
	}
}
