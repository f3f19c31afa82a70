package console

import (
	"slices"
	"strings"
	"time"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/incident"
	"hozen/internal/artifact"
	"hozen/internal/i18n"
)

// entryView is one line of the timeline in one language.
type entryView struct {
	incident.Entry
	Sentence string // translated, for [said]
	Tone     string // how the line is marked: person, alert, order, good, bad, plain
	Icon     string
	Detail   string   // what a machine said went wrong, as it was
	Numbers  string   // of the evidence that the entry is about
	Facts    []string // translated, for [said]: what else the entry says
}

// viewTimeline translates the entries, newest first, because that is what somebody
// who opens the page wants to know.
func viewTimeline(p i18n.Printer, entries []incident.Entry, names map[string]string) []entryView {
	views := make([]entryView, 0, len(entries))
	for _, e := range entries {
		view := entryView{Entry: e, Sentence: markedSentence(p, e, names), Detail: e.Params["detail"]}
		view.Tone, view.Icon = tone(e)
		view.Facts = entryFacts(p, e)
		if first, last := e.Params["first"], e.Params["last"]; first != "" {
			view.Numbers = first
			if last != first {
				view.Numbers += " – " + last
			}
		}
		views = append(views, view)
	}
	slices.Reverse(views)
	return views
}

// entryFacts are the facts of an entry that its sentence leaves out.
func entryFacts(p i18n.Printer, e incident.Entry) []string {
	switch e.Kind {
	case incident.EntryCommand:
		return append(isolationOrderFacts(p, e.Params), lost(p, e.Params)...)
	case incident.EntryIsolation:
		return heldBackFacts(p, e.Params)
	case incident.EntrySevered:
		return append(severedFacts(p, e.Params), heldBackFacts(p, e.Params)...)
	case incident.EntryIsolationEvent:
		return append(isolationEventFacts(p, e.Params), heldBackFacts(p, e.Params)...)
	case incident.EntryRefused:
		return refusedFacts(p, e.Params)
	case incident.EntryBoot:
		return bootFacts(p, e.Params)
	case incident.EntryEvidence:
		return shutdownFacts(p, e.Params)
	case incident.EntryCustody:
		return custodyFacts(p, e)
	case incident.EntryAnswer:
		return answerFacts(p, e)
	case incident.EntryDecision, incident.EntryEnquiry:
		return whenFacts(p, e)
	case incident.EntryPlaybook, incident.EntryDeadline:
		return workbenchFacts(p, e)
	case incident.EntryOpened, incident.EntryAlert:
		return heardFacts(p, e)
	}
	return nil
}

// heardFacts are those of a report that somebody heard by telephone.
func heardFacts(p i18n.Printer, e incident.Entry) (out []string) {
	if at, err := time.Parse(time.RFC3339Nano, e.Params["heard_at"]); err == nil {
		out = append(out, p.Text("timeline.heard_at", "at", clock(at)))
	}
	if tel := e.Params["heard_tel"]; tel != "" {
		out = append(out, p.Text("timeline.heard_tel", "tel", own(tel, 64)))
	}
	return out
}

// refusedFacts say what of an acquisition was refused, and how many refusals before it have no
// entry of their own.
func refusedFacts(p i18n.Printer, f map[string]string) (out []string) {
	if part := f["part"]; part != "" {
		// A part is named by its kind: artifacts/process.jsonl.zst.
		kind, _, _ := strings.Cut(strings.TrimPrefix(part, artifact.ArtifactDir+"/"), ".")
		word := own(part, 80)
		if p.Has("kind." + kind) {
			word = p.Text("kind." + kind)
		}
		out = append(out, p.Text("timeline.refused.part", "part", word))
	}
	if n := f["suppressed"]; n != "" {
		out = append(out, p.Text("timeline.refused.more", "n", plain(n, 20)))
	}
	return out
}

// severedFacts are the connections that a cut ended, with whom and of which program.
func severedFacts(p i18n.Printer, f map[string]string) (out []string) {
	if n := f["failed"]; n != "" {
		out = append(out, p.Text("isolation.severed.failed", "n", plain(n, 12)))
	}
	if list := f["connections"]; list != "" {
		out = append(out, p.Text("timeline.severed.list"))
		for line := range strings.Lines(list) {
			out = append(out, own(strings.TrimSpace(line), 300))
		}
	}
	return out
}

// heldBackFacts tells of words of the same kind that have no entry of their own.
func heldBackFacts(p i18n.Printer, f map[string]string) []string {
	n := f["held_back"]
	if n == "" {
		return nil
	}
	return []string{p.Text("timeline.held_back", "n", plain(n, 20))}
}

// words is where the values of parameters are translated whose values are words of ours.
func words() map[string]string {
	return map[string]string{
		"command": "verb.", "verb": "verb.", "status": "command.status.", "outcome": "outcome.",
		"from": "isolation.state.", "to": "isolation.state.", "observed": "isolation.state.", "desired": "isolation.state.",
		"code": "refusal.", "kind": "kind.", "trigger": "trigger.", "then": "then.", "verdict": "boot.verdict.", "classification": "classification.", "item": "record.item.", "state": "record.state.", "decision_kind": "decision.kind.", "source": "upload.source.", "channel": "enquiry.channel.",
	}
}

// agentItself is whom an agent names as the reporter of what it has to say without a
// person, such as that the PC could not be switched off.
const agentItself = "hozen-agent"

// sentence is the translated sentence of an entry. A parameter that the sentence
// needs and the entry does not have shows as 不明, not as a hole.
func sentence(p i18n.Printer, e incident.Entry, names map[string]string) string {
	return unmarked(markedSentence(p, e, names))
}

// markedSentence is [sentence] for [said].
func markedSentence(p i18n.Printer, e incident.Entry, names map[string]string) string {
	key := "timeline." + string(e.Kind)
	if variant := e.Params["command"]; e.Kind == incident.EntryCommand && p.Has(key+"."+variant) {
		key += "." + variant
	}
	if e.Kind == incident.EntryAlert && e.Params["reporter"] == agentItself {
		key += ".agent"
	}
	if e.Kind == incident.EntrySevered && e.Params["n"] == "0" {
		key += ".none"
	}
	if e.Params["link"] != "" && (e.Kind == incident.EntryAlert || e.Kind == incident.EntryUpload) {
		key += ".link"
	}
	if e.Kind == incident.EntryEvidence {
		// A capture long before a shutdown that is set for later is not one just before it.
		for _, variant := range []string{e.Params["trigger"], e.Params["shutdown_reason"]} {
			if variant != "" && p.Has(key+"."+variant) {
				key += "." + variant
			}
		}
	}
	if variant := e.Params["event"]; (e.Kind == incident.EntryIsolationEvent || e.Kind == incident.EntryLedgerDiffers || e.Kind == incident.EntryCustody || e.Kind == incident.EntryReport || e.Kind == incident.EntryExport) && p.Has(key+"."+variant) {
		key += "." + variant
	}
	if variant := e.Params["close_code"]; e.Kind == incident.EntryClosed && p.Has(key+"."+variant) {
		key += "." + variant
	}
	if variant := e.Params["event"]; (e.Kind == incident.EntryPlaybook || e.Kind == incident.EntryDeadline || e.Kind == incident.EntryDrill) && p.Has(key+"."+variant) {
		key += "." + variant
	}
	if variant := e.Params["what"]; e.Kind == incident.EntryAccess && p.Has(key+"."+variant) {
		key += "." + variant
	}
	if e.Kind == incident.EntryResult {
		switch variant := key + "." + e.Params["status"]; {
		case p.Has(variant + "." + e.Params["then"]):
			key = variant + "." + e.Params["then"]
		case p.Has(variant):
			key = variant
		case e.Params["observed"] != "":
			key += ".measured"
		}
	}
	if !p.Has(key) {
		key = "timeline.other"
	}
	values := make(map[string]string, len(e.Params)+2)
	for _, name := range []string{"endpoint", "command", "status", "from", "to", "observed", "number", "items", "code", "outcome", "reporter", "then", "verdict", "exhibit", "giver", "taker", "place", "item", "state", "version", "decision_kind", "decider", "who", "channel", "source", "recipient", "name", "until", "n", "of"} {
		values[name] = p.Text("unknown")
	}
	for name, value := range e.Params {
		switch prefix, ok := words()[name]; {
		case name == "until" && e.Kind == incident.EntryAccess:
			if t, err := time.Parse(time.RFC3339Nano, value); err == nil {
				value = clock(t)
			}
		case name == "endpoint":
			value = own(nameOf(names, value), 80)
		case ok:
			value = optional(p, prefix, value)
		default:
			value = own(value, 300)
		}
		values[name] = value
	}
	if name, ok := e.Params["name_"+string(p.Language())]; ok {
		values["name"] = own(name, 300) // of data that may be others by now
	}
	if e.Kind == incident.EntryResult && e.Params["then"] == "" {
		values["then"] = values["command"] // what is not about the power is called by its verb
	}
	values["kind_of_entry"] = string(e.Kind)
	return p.TextWith(key, values)
}

func tone(e incident.Entry) (tone, icon string) {
	switch e.Kind {
	case incident.EntryNote, incident.EntryAnswer, incident.EntryEnquiry:
		return "person", "pen"
	case incident.EntryDecision:
		return "order", "flag"
	case incident.EntryDrill:
		switch e.Params["event"] {
		case "real", "found_in":
			return "alert", "warn"
		case "result":
			return "good", "check"
		}
		return "plain", "flag"
	case incident.EntryUpload:
		return "good", "box"
	case incident.EntryMerged, incident.EntryMergedIn, incident.EntrySplit, incident.EntrySplitFrom:
		return "plain", "arrow"
	case incident.EntryAlert:
		return "alert", "bell"
	case incident.EntryCommand:
		return "order", "arrow"
	case incident.EntryResult:
		if e.Params["status"] == "withdrawn" {
			return "plain", "cross"
		}
		if s := e.Params["status"]; s != "" && s != "done" {
			return "bad", "cross"
		}
		return "good", "check"
	case incident.EntryEvidence:
		switch artifact.Outcome(e.Params["outcome"]) {
		case artifact.Failed, artifact.Interrupted, artifact.TimedOut, artifact.Denied, artifact.Unsupported, artifact.NotStarted:
			return "bad", "box" // it was received, but there is little or nothing in it
		}
		return "good", "box"
	case incident.EntryRefused:
		return "bad", "cross"
	case incident.EntryIsolation:
		return "order", "shield"
	case incident.EntrySevered:
		if e.Params["failed"] != "" {
			return "alert", "warn"
		}
		return "plain", "shield"
	case incident.EntryIsolationEvent:
		switch tone := isolationEventTone(endpoint.IsolationEventKind(e.Params["event"])); tone {
		case "bad", "alert":
			return tone, "warn"
		}
		return "plain", "shield"
	case incident.EntryExport:
		return "order", "down"
	case incident.EntryReport:
		return "person", "pen"
	case incident.EntryCustody:
		if e.Params["result"] == exhibit.ResultMismatch {
			return "bad", "cross"
		}
		return "person", "box"
	case incident.EntryBoot:
		switch bootTone(e.Params["verdict"]) {
		case "good":
			return "good", "power"
		case "unknown":
			return "alert", "question"
		}
		return "bad", "power"
	case incident.EntryPlaybook:
		if e.Params["gates"] != "" {
			return "alert", "warn"
		}
		return "person", "check"
	case incident.EntryDeadline:
		switch e.Params["event"] {
		case "done":
			return "good", "check"
		case "set", "changed", "answered":
			return "plain", "wait"
		}
		return "alert", "wait"
	case incident.EntryJoined:
		return "plain", "pc"
	case incident.EntryClosed:
		return "plain", "check"
	}
	return "plain", "flag"
}
