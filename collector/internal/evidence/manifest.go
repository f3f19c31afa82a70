package evidence

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"hozen/internal/artifact"
	"hozen/internal/digest"
	"hozen/internal/id"
)

// Limits of a manifest; what passes them is no manifest of this format.
const (
	MaxManifest    = 4 << 20 // bytes
	maxParts       = 64
	maxProbes      = 256
	maxText        = 4 << 10 // bytes of a free text
	maxName        = 64      // bytes of a profile
	maxKind        = 32      // bytes of a kind
	zstdSuffix     = ".zst"
	artifactPrefix = artifact.ArtifactDir + "/"
)

// DecodeManifest reads a manifest and checks everything that can be checked without
// knowing who sent it. An unknown format is refused, and so is every field that
// this program doesn't know: what was signed is understood whole or not at all.
func DecodeManifest(b []byte) (artifact.Manifest, error) {
	if len(b) > MaxManifest {
		return artifact.Manifest{}, fmt.Errorf("manifest: %d bytes are more than %d", len(b), MaxManifest)
	}
	var m artifact.Manifest
	if err := unmarshalStrict(b, &m); err != nil {
		return artifact.Manifest{}, fmt.Errorf("manifest: %w", err)
	}
	if m.Format != artifact.Format {
		return artifact.Manifest{}, fmt.Errorf("manifest: format is %.60q, want %q", m.Format, artifact.Format)
	}
	if err := checkManifest(&m); err != nil {
		return artifact.Manifest{}, fmt.Errorf("manifest: %w", err)
	}
	if err := agrees(&m); err != nil {
		return artifact.Manifest{}, fmt.Errorf("manifest: %w", err)
	}
	return m, nil
}

func checkManifest(m *artifact.Manifest) error {
	if err := id.Check(id.Acquisition, m.AcquisitionID); err != nil {
		return err
	}
	for _, c := range []struct {
		prefix id.Prefix
		value  string
	}{{id.Endpoint, m.EndpointID}, {id.Command, m.CommandID}, {id.Alert, m.AlertID}, {id.Incident, m.IncidentID}} {
		if c.value == "" {
			continue
		}
		if err := id.Check(c.prefix, c.value); err != nil {
			return err
		}
	}
	switch m.Trigger {
	case artifact.TriggerCommand, artifact.TriggerIsolation, artifact.TriggerAlert, artifact.TriggerManual,
		artifact.TriggerShutdown, artifact.TriggerSuspend, artifact.TriggerBoot, artifact.TriggerPreserve, artifact.TriggerProof:
	default:
		return fmt.Errorf("trigger %.60q is not known", m.Trigger)
	}
	if !isName(m.Profile) {
		return fmt.Errorf("profile %.60q is no name", m.Profile)
	}
	if !m.Outcome.Valid() {
		return fmt.Errorf("outcome %.60q is not known", m.Outcome)
	}
	for _, s := range []string{m.Host.Hostname, m.Host.OS, m.Host.Arch, m.Host.BootID, m.Tool.Name, m.Tool.Version, m.Tool.Commit, m.Tool.SHA256} {
		if len(s) > maxText {
			return errors.New("host or tool: a text is too long")
		}
	}
	if c := m.Checkpoint; c != nil {
		if _, err := digest.Parse(c.RootSHA256); err != nil || c.Origin == "" || len(c.Origin) > 200 || c.Size < 0 || c.Conflicts < 0 {
			return errors.New("checkpoint: no state of a ledger")
		}
	}
	if m.StartedAt.Wall.IsZero() || m.FinishedAt.Wall.IsZero() {
		return errors.New("started_at or finished_at is missing")
	}
	if m.Signer.Algorithm != "ecdsa-p256-sha256" {
		return fmt.Errorf("signer: algorithm %.60q is not known", m.Signer.Algorithm)
	}
	if _, err := digest.Parse(m.Signer.KeySHA256); err != nil {
		return fmt.Errorf("signer: %w", err)
	}
	planned, err := checkProbes(m.Probes)
	if err != nil {
		return err
	}
	return checkArtifacts(m.Artifacts, planned)
}

func checkProbes(probes []artifact.ProbeOutcome) (map[artifact.Kind]bool, error) {
	if len(probes) == 0 || len(probes) > maxProbes {
		return nil, fmt.Errorf("%d probes, want 1 to %d", len(probes), maxProbes)
	}
	planned := map[artifact.Kind]bool{}
	for _, p := range probes {
		switch {
		case !isKind(string(p.Kind)):
			return nil, fmt.Errorf("probe: kind %.80q is no kind", p.Kind)
		case planned[p.Kind]:
			return nil, fmt.Errorf("probe %s is there twice", p.Kind)
		case !p.Outcome.Valid():
			return nil, fmt.Errorf("probe %s: outcome %.60q is not known", p.Kind, p.Outcome)
		case p.Records < 0 || p.Skipped < 0 || p.BudgetNS < 0 || p.DurationNS < 0:
			return nil, fmt.Errorf("probe %s: a count is negative", p.Kind)
		case len(p.Detail) > maxText:
			return nil, fmt.Errorf("probe %s: its detail is too long", p.Kind)
		}
		planned[p.Kind] = true
	}
	return planned, nil
}

func checkArtifacts(entries []artifact.Entry, planned map[artifact.Kind]bool) error {
	if len(entries) > maxParts {
		return fmt.Errorf("%d artifacts are more than %d", len(entries), maxParts)
	}
	seen, kinds := map[string]bool{}, map[artifact.Kind]bool{}
	for _, e := range entries {
		kind, compression, err := ParsePartName(e.Name)
		if err != nil {
			return err
		}
		bad := func(format string, args ...any) error {
			return fmt.Errorf("%s: %s", e.Name, fmt.Sprintf(format, args...))
		}
		if seen[e.Name] {
			return bad("is there twice")
		}
		if kinds[kind] { // compressed and not: two readable copies would have one name
			return bad("its kind has another artifact")
		}
		seen[e.Name], kinds[kind] = true, true
		if e.Kind != kind {
			return bad("its kind is %.60q", e.Kind)
		}
		if !planned[kind] {
			return bad("no probe of the plan writes it")
		}
		version, ok := strings.CutPrefix(e.Schema, "hozen."+string(kind)+"/")
		if !ok || !isVersion(version) {
			return bad("schema %.80q is none of its kind", e.Schema)
		}
		if e.Compression != compression {
			return bad("compression is %.60q", e.Compression)
		}
		if e.Envelope.Scheme != "none" {
			return bad("envelope %.60q is not known", e.Envelope.Scheme)
		}
		if e.Records < 0 || e.Plain.Size < 0 || e.Stored.Size < 0 {
			return bad("a count is negative")
		}
		if e.Records != 1 && !hasLines(e.Name) {
			return bad("it is no lines, and counts as one record")
		}
		for _, s := range []string{e.Plain.SHA256, e.Stored.SHA256} {
			if _, err := digest.Parse(s); err != nil {
				return bad("%v", err)
			}
		}
	}
	return nil
}

// ParsePartName reads the name of a part: artifacts/<kind>.<form>.zst or, not compressed,
// artifacts/<kind>.<form>; the form is one of [artifact.Form]. Nothing else is a name, so
// a name is safe in a path.
func ParsePartName(name string) (kind artifact.Kind, compression string, err error) {
	base, ok := strings.CutPrefix(name, artifactPrefix)
	base, packed := strings.CutSuffix(base, zstdSuffix)
	stem, form, dot := strings.Cut(base, ".")
	if !ok || !dot || !isKind(stem) || !isForm(artifact.Form(form)) {
		return "", "", fmt.Errorf("part %.80q is not of the form %s<kind>.jsonl.zst", name, artifactPrefix)
	}
	if compression = "none"; packed {
		compression = "zstd"
	}
	return artifact.Kind(stem), compression, nil
}

func isForm(f artifact.Form) bool {
	return f == artifact.FormLines || f == artifact.FormLiME || f == artifact.FormRaw
}

// hasLines reports whether a part is made of lines, by its name.
func hasLines(name string) bool {
	return strings.HasSuffix(strings.TrimSuffix(name, zstdSuffix), "."+string(artifact.FormLines))
}

// isKind reports whether s is in the form of a kind (evidence-format.md), as verifiers ask of
// it: a lower-case letter, then at most 31 lower-case letters, digits and "_".
func isKind(s string) bool {
	return len(s) <= maxKind && isName(s) && s[0] >= 'a' && !strings.Contains(s, "-")
}

// isVersion reports whether s is a version of a schema: 1 to 9999.
func isVersion(s string) bool {
	return s != "" && len(s) <= 4 && s[0] != '0' && strings.Trim(s, "0123456789") == ""
}

// isName reports whether s is a short lower-case name: a letter or digit, then
// letters, digits, "_" and "-".
func isName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i, r := range s {
		if r > unicode.MaxASCII || !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || i > 0 && (r == '_' || r == '-')) {
			return false
		}
	}
	return true
}
