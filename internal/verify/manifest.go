package verify

import (
	"encoding/base32"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	formatManifest = "hozen-manifest/1"
	algorithm      = "ecdsa-p256-sha256"
)

// manifest is what the checks need of hozen-manifest/1.
type manifest struct {
	acquisitionID, endpointID string
	hostname                  string
	toolName, toolVersion     string
	startedAt, finishedAt     time.Time
	outcome                   string
	probes                    []Probe
	artifacts                 []entry
	keySHA256                 string
	oneTime                   bool
}

type entry struct {
	name, kind    string
	records       int64
	compression   string
	plain, stored content
}

// isLines reports whether what is plain are JSON lines; two other forms are bytes.
func (e *entry) isLines() bool {
	n := strings.TrimSuffix(e.name, ".zst")
	return !strings.HasSuffix(n, ".lime") && !strings.HasSuffix(n, ".raw")
}

type content struct {
	sha256 string
	size   int64
}

var (
	artifactName = regexp.MustCompile(`^artifacts/[a-z0-9_-][a-z0-9._-]{0,63}$`)
	kindName     = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	schemaName   = regexp.MustCompile(`^hozen\.[a-z][a-z0-9_]{0,31}/[1-9][0-9]{0,3}$`)
)

func outcomes() []string {
	return []string{"complete", "partial", "empty", "unsupported", "denied", "timed_out", "interrupted", "failed", "not_started"}
}

// readManifest reads a manifest strictly: everything that the format names and
// nothing else.
func readManifest(b []byte) (*manifest, error) {
	v, err := parseJSON(b)
	if err != nil {
		return nil, err
	}
	f := newFields(v, &err)
	if format := f.text("format", true); err == nil && format != formatManifest {
		return nil, fmt.Errorf("format %.40q is not known; this program knows %s", format, formatManifest)
	}
	m := &manifest{
		acquisitionID: f.text("acquisition_id", true),
		endpointID:    f.text("endpoint_id", false),
		outcome:       f.text("outcome", true),
	}
	checkID(f, "acquisition_id", "acq", m.acquisitionID)
	if m.endpointID != "" {
		checkID(f, "endpoint_id", "end", m.endpointID)
	}
	oneOf(f, "trigger", f.text("trigger", true), []string{"command", "isolation", "alert", "manual", "shutdown", "suspend", "boot", "preserve", "isolation_proof"})
	oneOf(f, "outcome", m.outcome, []string{"complete", "partial", "interrupted", "failed"})
	for name, prefix := range map[string]string{"command_id": "cmd", "alert_id": "alt", "incident_id": "inc"} {
		if s := f.text(name, false); s != "" {
			checkID(f, name, prefix, s)
		}
	}
	f.text("profile", true)
	host := f.sub("host")
	m.hostname = host.text("hostname", true)
	for _, name := range []string{"os", "arch", "boot_id"} {
		host.text(name, true)
	}
	host.done()
	tool := f.sub("tool")
	m.toolName, m.toolVersion = tool.text("name", true), tool.text("version", true)
	tool.text("commit", true)
	if s := tool.text("sha256", true); s != "" && !isHexSHA256(s) {
		tool.fail("tool.sha256 is not 64 lower-case hexadecimal digits")
	}
	tool.done()
	m.startedAt, m.finishedAt = instant(f.sub("started_at")), instant(f.sub("finished_at"))
	for _, p := range f.list("probes", maxArtifacts) {
		m.probes = append(m.probes, readProbe(p))
	}
	for _, a := range f.list("artifacts", maxArtifacts) {
		m.artifacts = append(m.artifacts, readEntry(a))
	}
	signer := f.sub("signer")
	oneOf(signer, "algorithm", signer.text("algorithm", true), []string{algorithm})
	m.keySHA256, m.oneTime = signer.sha256("key_sha256", true), signer.flag("one_time")
	signer.done()
	if _, there := f.o["checkpoint"]; there {
		c := f.sub("checkpoint")
		if origin := c.text("origin", true); origin == "" || len(origin) > 200 {
			c.fail("checkpoint.origin is no name of a log")
		}
		c.number("size", true)
		c.sha256("root_sha256", true)
		c.number("conflicts", false)
		c.done()
	}
	f.done()
	if err == nil {
		err = m.agrees()
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

func readProbe(f *fields) Probe {
	p := Probe{Kind: f.text("kind", true), Outcome: f.text("outcome", true), Detail: f.text("detail", false), Records: f.number("records", true)}
	if !kindName.MatchString(p.Kind) {
		f.fail("%skind %.40q is no kind", f.at, p.Kind)
	}
	oneOf(f, "outcome", p.Outcome, outcomes())
	f.number("budget_ns", true)
	f.number("duration_ns", true)
	f.number("skipped", false)
	instant(f.sub("started_at"))
	f.done()
	return p
}

func readEntry(f *fields) entry {
	e := entry{name: f.text("name", true), kind: f.text("kind", true), records: f.number("records", true), compression: f.text("compression", true)}
	if !artifactName.MatchString(e.name) {
		f.fail("%sname %.80q is not artifacts/ and at most 64 of a-z, 0-9, '.', '-', '_'", f.at, e.name)
	}
	if !kindName.MatchString(e.kind) {
		f.fail("%skind %.40q is no kind", f.at, e.kind)
	}
	if s := f.text("schema", true); !schemaName.MatchString(s) {
		f.fail("%sschema %.40q is no schema", f.at, s)
	}
	oneOf(f, "compression", e.compression, []string{"zstd", "none"})
	env := f.sub("envelope")
	oneOf(env, "scheme", env.text("scheme", true), []string{"none"})
	env.done()
	e.plain, e.stored = readContent(f.sub("plain")), readContent(f.sub("stored"))
	most := int64(maxPlain)
	if !e.isLines() {
		if most = maxBytes; e.records != 1 {
			f.fail("%srecords is %d of what is no lines, and counts as 1", f.at, e.records)
		}
	}
	if e.plain.size > most {
		f.fail("%splain.size is more than %d", f.at, most)
	}
	f.done()
	return e
}

func readContent(f *fields) content {
	c := content{sha256: f.sha256("sha256", true), size: f.number("size", true)}
	f.done()
	return c
}

// instant reads a moment. A clock that was never set leaves the zero time, which is
// allowed: clocks are recorded, not believed.
func instant(f *fields) time.Time {
	t := f.time("wall")
	f.number("boot_ns", true)
	f.done()
	return t
}

// agrees checks what the parts of a manifest say of each other.
func (m *manifest) agrees() error {
	names, kinds := map[string]bool{}, map[string]int64{}
	for _, a := range m.artifacts {
		if names[a.name] {
			return fmt.Errorf("the artifact %s stands there twice", a.name)
		}
		if _, twice := kinds[a.kind]; twice {
			return fmt.Errorf("the kind %s has two artifacts", a.kind)
		}
		names[a.name], kinds[a.kind] = true, a.records
	}
	for i, p := range m.probes {
		if slices.ContainsFunc(m.probes[:i], func(q Probe) bool { return q.Kind == p.Kind }) {
			return fmt.Errorf("the probe %s stands there twice", p.Kind)
		}
		records, ok := kinds[p.Kind]
		if records != p.Records {
			return fmt.Errorf("the probe %s wrote %d records, its artifact has %d", p.Kind, p.Records, records)
		}
		if ok && records == 0 {
			return fmt.Errorf("the artifact of %s has no records", p.Kind)
		}
		delete(kinds, p.Kind)
	}
	for k := range kinds {
		return fmt.Errorf("no probe wrote the artifact of %s", k)
	}
	if m.oneTime != (m.endpointID == "") {
		return errors.New("a one-time key signs for no endpoint, and every other key for one: signer.one_time and endpoint_id disagree")
	}
	return nil
}

func oneOf(f *fields, name, v string, allowed []string) {
	if !slices.Contains(allowed, v) {
		f.fail("%s%s %.40q is not known", f.at, name, v)
	}
}

// crockford is the alphabet of identifiers and receipt codes.
const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

// checkID checks an identifier: prefix, "_" and 128 bits in lower-case Crockford base32.
func checkID(f *fields, name, prefix, s string) {
	enc := base32.NewEncoding(crockford).WithPadding(base32.NoPadding)
	if len(s) == len(prefix)+1+26 && s[:len(prefix)+1] == prefix+"_" {
		body := s[len(prefix)+1:]
		if raw, err := enc.DecodeString(body); err == nil && enc.EncodeToString(raw) == body {
			return
		}
	}
	f.fail("%s%s %.60q is not an identifier of the form %s_…", f.at, name, s, prefix)
}
