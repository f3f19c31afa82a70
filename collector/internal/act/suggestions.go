package act

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"hozen/collector/internal/evidence"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/record"
	"hozen/collector/internal/sqldb"
	"hozen/internal/artifact"
	lines "hozen/internal/artifact/record"
	"hozen/internal/digest"
)

// Suggestion is an answer that follows from what the collector has. It is none before a
// person says yes to it.
type Suggestion struct {
	Item   record.Item
	State  record.State
	Value  record.Value
	Basis  record.Basis
	Source SuggestionSource
}

// SuggestionSource says where a suggestion comes from.
type SuggestionSource string

// The sources.
const (
	FromReport       SuggestionSource = "report"       // the report or alert that opened the incident
	FromOrganisation SuggestionSource = "organisation" // the name of the organisation
	FromFirstSeen    SuggestionSource = "first_seen"   // the earliest suspicious trace in the evidence
	FromInventory    SuggestionSource = "inventory"    // what the endpoints' evidence of that time says of them
)

// Fingerprint names what a person says yes to.
func (g Suggestion) Fingerprint() string {
	v := record.Version{Item: g.Item, State: g.State, Value: g.Value.Clean(), Basis: g.Basis}
	d := v.Details()
	return digest.Of(fmt.Appendf(nil, "%q %q %q %q", d["item"], d["state"], d["value"], d["basis"])).String()[:24]
}

// Bounds of what is read for suggestions: the PC that wrote it may be the attacker's.
const (
	suggestTime      = 3 * time.Second
	maxSuggestHosts  = 20
	maxSuggestLines  = 20_000
	maxSuggestLine   = 64 << 10 // bytes; a longer one is passed over
	maxSuggestHead   = 64 << 10 // bytes of a record of one line
	maxSuggestTools  = 20       // of one endpoint
	maxSuggestWords  = 120      // bytes of one word of an endpoint
	maxSuggestWindow = 8 << 20  // bytes that decompressing may look back
)

// Suggestions returns what is suggested for those items of an incident that nobody has
// answered. Evidence that cannot be read suggests nothing.
func (s *Acts) Suggestions(ctx context.Context, a Actor, incidentID string) ([]Suggestion, error) {
	return read(ctx, s, a, mayRecord, func(q sqldb.Queryer, a Actor) ([]Suggestion, error) {
		inc, err := incident.FindBare(ctx, q, a.OrganisationID, incidentID)
		if err != nil {
			return nil, err
		}
		return s.suggest(ctx, q, inc)
	})
}

func (s *Acts) suggest(ctx context.Context, q sqldb.Queryer, inc incident.Incident) ([]Suggestion, error) {
	sheet, err := sheetOf(ctx, q, inc)
	if err != nil {
		return nil, err
	}
	open := func(i record.Item) bool { _, answered := sheet.Get(i); return !answered }
	var list []Suggestion
	o := sheet.Opening
	said := record.Basis{Alert: o.Alert, Person: o.Reporter}
	if open(record.Type) && o.Type != "" && o.Type != string(incident.NotYet) {
		list = append(list, Suggestion{Item: record.Type, State: record.Estimated, Value: record.Value{Types: []string{o.Type}}, Basis: said, Source: FromReport})
	}
	if open(record.BusinessOperator) {
		name, err := organisationName(ctx, q, inc.OrganisationID)
		if err != nil {
			return nil, err
		}
		list = append(list, Suggestion{Item: record.BusinessOperator, State: record.Known, Value: record.Value{Fields: map[record.Field]string{record.Name: name}}, Source: FromOrganisation})
	}
	if open(record.DiscoveredAt) && !o.DiscoveredAt.IsZero() {
		v := record.Value{At: o.DiscoveredAt}
		if o.Reporter != "" {
			v.Fields = map[record.Field]string{record.Who: o.Reporter}
		}
		g := Suggestion{Item: record.DiscoveredAt, State: record.Known, Value: v, Basis: said, Source: FromReport}
		if o.Alert != "" {
			g.State = record.Estimated // it was reported then; it may have been noticed before
		}
		list = append(list, g)
	}
	if !open(record.OccurredAt) && !open(record.Assets) && !open(record.Tools) {
		return list, nil
	}
	ctx, cancel := context.WithTimeout(ctx, suggestTime)
	defer cancel()
	items, err := s.evidence.Items(ctx, evidence.ItemFilter{OrganisationID: inc.OrganisationID, IncidentID: inc.ID})
	if err != nil {
		return nil, err
	}
	seen := firstOf(items, artifact.KindProcess, artifact.KindHostInfo, artifact.KindSecurity)
	if open(record.OccurredAt) {
		list = append(list, s.firstSeen(ctx, seen[artifact.KindProcess], sheet.DiscoveredAt().At)...)
	}
	if open(record.Assets) {
		list = append(list, s.hosts(ctx, seen[artifact.KindHostInfo])...)
	}
	if open(record.Tools) {
		list = append(list, s.tools(ctx, seen[artifact.KindSecurity])...)
	}
	return list, nil
}

// firstOf are, of each kind, the items that came first of every endpoint: closest to when the
// incident was opened. items are in the order in which they were received.
func firstOf(items []evidence.Item, kinds ...artifact.Kind) map[artifact.Kind][]evidence.Item {
	out := map[artifact.Kind][]evidence.Item{}
	for _, it := range items {
		had := slices.ContainsFunc(out[it.Kind], func(o evidence.Item) bool { return o.EndpointID == it.EndpointID })
		if slices.Contains(kinds, it.Kind) && !had && it.DisposedAt.IsZero() && len(out[it.Kind]) < maxSuggestHosts {
			out[it.Kind] = append(out[it.Kind], it)
		}
	}
	return out
}

// citeOf is how an answer names evidence.
func citeOf(it evidence.Item) string {
	if it.Number != "" {
		return it.Number
	}
	return it.ID
}

// eachLine hands the lines of an item to take until it returns false, or enough was read.
func (s *Acts) eachLine(ctx context.Context, it evidence.Item, take func(line []byte) bool) error {
	f, err := s.evidence.Open(ctx, it)
	if err != nil {
		return err
	}
	defer f.Close()
	var plain io.Reader = f
	if strings.HasSuffix(it.Name, ".zst") {
		z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxSuggestWindow), zstd.WithDecoderMaxMemory(maxSuggestWindow))
		if err != nil {
			return err
		}
		defer z.Close()
		plain = z
	}
	in, long := bufio.NewReaderSize(plain, maxSuggestLine), false
	for n := 0; n < maxSuggestLines; {
		line, err := in.ReadSlice('\n')
		if cerr := ctx.Err(); cerr != nil {
			return cerr
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			long = true
			continue
		}
		if !long && len(line) > 0 && !take(line) {
			return nil
		}
		n, long = n+1, false
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unread notes evidence that suggests nothing because it cannot be read. That the pages say
// so is not needed: it is damaged evidence, which the check of everything names.
func (s *Acts) unread(ctx context.Context, it evidence.Item, err error) {
	s.log.WarnContext(ctx, "evidence cannot be read for the record", slog.String("evidence", it.ID), slog.Any("error", err))
}

// doubtful reports whether a program runs from where programs are not installed.
func doubtful(p lines.Process) bool {
	if p.ExeMemFD {
		return true
	}
	exe := strings.ToLower(strings.ReplaceAll(p.Exe, `\`, "/"))
	for _, dir := range []string{"/tmp/", "/var/tmp/", "/dev/shm/"} {
		if strings.HasPrefix(exe, dir) {
			return true
		}
	}
	return strings.Contains(exe, "/appdata/local/temp/") || strings.Contains(exe, "/windows/temp/") || strings.Contains(exe, "/downloads/") || strings.Contains(exe, "/users/public/")
}

// firstSeen suggests when it happened: not long before the first program was started that
// runs from a temporary folder or from memory alone, and not after it was discovered.
func (s *Acts) firstSeen(ctx context.Context, items []evidence.Item, discovered time.Time) []Suggestion {
	var first time.Time
	var from evidence.Item
	var name string
	for _, it := range items {
		err := s.eachLine(ctx, it, func(line []byte) bool {
			var p lines.Process
			if json.Unmarshal(line, &p) != nil || !doubtful(p) {
				return true
			}
			at := sane(p.StartedAt)
			if at.IsZero() || at.Year() < 1990 || !discovered.IsZero() && at.After(discovered) || !first.IsZero() && !at.Before(first) {
				return true
			}
			first, from, name = at, it, path.Base(strings.ReplaceAll(p.Exe, `\`, "/"))
			return true
		})
		if err != nil {
			s.unread(ctx, it, err)
		}
	}
	if first.IsZero() {
		return nil
	}
	v := record.Value{At: first, Until: discovered, Confidence: record.Low}
	if name = brief(name); name != "" && name != "." {
		v.Fields = map[record.Field]string{record.How: name}
	}
	return []Suggestion{{Item: record.OccurredAt, State: record.Estimated, Value: v, Basis: record.Basis{Evidence: []string{citeOf(from)}}, Source: FromFirstSeen}}
}

// brief is a word of an endpoint, bounded.
func brief(word string) string {
	word = strings.ToValidUTF8(word, "\uFFFD")
	if len(word) > maxSuggestWords {
		word = strings.ToValidUTF8(word[:maxSuggestWords], "") + "…"
	}
	return word
}

// fits reports whether the facts leave room in an answer; where they do not, it takes those
// back that came after the first n.
func (g *Suggestion) fits(n int) bool {
	if len(g.Value.Encode()) <= record.MaxValue-2048 {
		return true
	}
	g.Value.Facts = g.Value.Facts[:n]
	return false
}

// hosts suggests the devices and their systems as they described themselves then.
func (s *Acts) hosts(ctx context.Context, items []evidence.Item) []Suggestion {
	g := Suggestion{Item: record.Assets, State: record.Known, Source: FromInventory}
	for _, it := range items {
		b, err := s.evidence.Head(ctx, it, maxSuggestHead)
		if err != nil {
			s.unread(ctx, it, err)
			continue
		}
		line, _, _ := strings.Cut(string(b), "\n")
		var h lines.HostInfo
		if json.Unmarshal([]byte(line), &h) != nil {
			continue
		}
		system := strings.Join(strings.Fields(strings.Join([]string{h.Platform, h.PlatformVersion}, " ")), " ")
		if system == "" {
			system = h.OS
		}
		var detail []string
		for _, d := range []string{h.KernelVersion, h.Arch, h.CPUModel, h.Virtualization} {
			if d != "" {
				detail = append(detail, brief(d))
			}
		}
		g.Value.Facts = append(g.Value.Facts, record.Fact{Kind: record.FactDevice, EndpointID: it.EndpointID, Host: brief(h.Hostname), Name: brief(system), Detail: strings.Join(detail, ", "),
			Evidence: citeOf(it), At: s.capturedAt(ctx, it)})
		if !g.fits(len(g.Value.Facts) - 1) {
			break
		}
		g.Basis.Evidence = append(g.Basis.Evidence, citeOf(it))
	}
	if len(g.Value.Facts) == 0 {
		return nil
	}
	return []Suggestion{g}
}

// capturedAt is when the acquisition of an item began, by the endpoint's clock.
func (s *Acts) capturedAt(ctx context.Context, it evidence.Item) time.Time {
	a, err := s.evidence.Acquisition(ctx, it.OrganisationID, it.AcquisitionID)
	if err != nil {
		return time.Time{} // not known
	}
	return sane(a.StartedAt)
}

// tools suggests the security tools as they were found then.
func (s *Acts) tools(ctx context.Context, items []evidence.Item) []Suggestion {
	g := Suggestion{Item: record.Tools, State: record.Known, Source: FromInventory}
	for _, it := range items {
		at, looked, found := s.capturedAt(ctx, it), 0, 0
		host := ""
		if e, err := s.endpointName(ctx, it); err == nil {
			host = e
		}
		err := s.eachLine(ctx, it, func(line []byte) bool {
			var t lines.SecurityTool
			if json.Unmarshal(line, &t) != nil || t.Name == "" {
				return true
			}
			looked++
			if t.State == lines.SecurityAbsent {
				return true
			}
			found++
			g.Value.Facts = append(g.Value.Facts, record.Fact{Kind: record.FactTool, EndpointID: it.EndpointID, Host: host, Name: brief(t.Name), State: brief(t.State), Detail: brief(t.Mode), Evidence: citeOf(it), At: at})
			return g.fits(len(g.Value.Facts)-1) && found < maxSuggestTools
		})
		if err != nil {
			s.unread(ctx, it, err)
			continue
		}
		if looked > 0 && found == 0 {
			g.Value.Facts = append(g.Value.Facts, record.Fact{Kind: record.FactTool, EndpointID: it.EndpointID, Host: host, State: lines.SecurityAbsent, Detail: strconv.Itoa(looked), Evidence: citeOf(it), At: at})
		}
		if looked > 0 {
			g.Basis.Evidence = append(g.Basis.Evidence, citeOf(it))
		}
	}
	if len(g.Value.Facts) == 0 {
		return nil
	}
	return []Suggestion{g}
}

// endpointName is the host name that the manifest of an item gives.
func (s *Acts) endpointName(ctx context.Context, it evidence.Item) (string, error) {
	sealed, err := s.evidence.Sealed(ctx, it.OrganisationID, it.AcquisitionID)
	if err != nil {
		return "", err
	}
	m, err := evidence.DecodeManifest(sealed.Manifest)
	if err != nil {
		return "", err
	}
	return brief(m.Host.Hostname), nil
}

// AcceptSuggestion makes a suggestion the answer, as it is now. fingerprint is the
// [Suggestion.Fingerprint] that the person saw; where something else is suggested by now, or
// somebody has answered, it is an [Invalid] with the code "changed".
func (s *Acts) AcceptSuggestion(ctx context.Context, a Actor, incidentID string, item record.Item, fingerprint string) (record.Version, error) {
	list, err := s.Suggestions(ctx, a, incidentID)
	if err != nil {
		return record.Version{}, err
	}
	changed := &Invalid{Field: "fingerprint", Code: "changed", Err: errors.New("something else is suggested now, or somebody has answered")}
	n := slices.IndexFunc(list, func(g Suggestion) bool { return g.Item == item && g.Fingerprint() == fingerprint })
	if n < 0 {
		return record.Version{}, changed
	}
	g := list[n]
	v, err := s.SetAnswer(ctx, a, incidentID, NewAnswer{Item: g.Item, State: g.State, Value: g.Value, Basis: g.Basis})
	if errors.Is(err, ErrConflict) {
		return record.Version{}, changed
	}
	return v, err
}

// LogSizes returns how many decisions and enquiries an incident has.
func (s *Acts) LogSizes(ctx context.Context, a Actor, incidentID string) (decisions, enquiries int, err error) {
	type sizes struct {
		IncidentID           string // for confine
		decisions, enquiries int
	}
	n, err := read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) (n sizes, err error) {
		inc, err := incident.FindBare(ctx, q, a.OrganisationID, incidentID)
		if err == nil {
			n.IncidentID = inc.ID
			n.decisions, n.enquiries, err = record.Count(ctx, q, inc.ID)
		}
		return n, err
	})
	return n.decisions, n.enquiries, err
}
