package act_test

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The requirements of STIX 2.1 (OASIS Standard, 10 June 2021) on the objects that packages
// have, by section of that document.

var (
	stixIdentifier = regexp.MustCompile(`^([a-z0-9-]{3,250})--([0-9a-f]{8}-[0-9a-f]{4}-([1-5])[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})$`) // 2.9, 3.4; RFC 4122
	stixTimestamp  = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`)                                                         // 2.16
	stixName       = regexp.MustCompile(`^[a-z0-9_]{3,250}$`)                                                                                // 3.1
	stixExact      = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)                                                          // 3.2, created and modified: to the millisecond
)

// stixMembers are the properties of each type: those that must be there, and those that may.
// SDOs have the common ones of 3.2 beside, SCOs none that packages use.
func stixMembers() map[string][2][]string {
	sdo := []string{"type", "spec_version", "id", "created", "modified"}
	may := []string{"created_by_ref", "revoked", "labels", "confidence", "lang", "external_references", "object_marking_refs", "granular_markings", "extensions"}
	sco := []string{"type", "id"}
	scoMay := []string{"spec_version", "object_marking_refs", "granular_markings", "defanged", "extensions"}
	return map[string][2][]string{
		"identity":      {append(slices.Clone(sdo), "name"), append(slices.Clone(may), "description", "roles", "identity_class", "sectors", "contact_information")},             // 4.5
		"observed-data": {append(slices.Clone(sdo), "first_observed", "last_observed", "number_observed", "object_refs"), may},                                                  // 4.14; object_refs, for objects is deprecated
		"ipv4-addr":     {append(slices.Clone(sco), "value"), append(slices.Clone(scoMay), "resolves_to_refs", "belongs_to_refs")},                                              // 6.8
		"ipv6-addr":     {append(slices.Clone(sco), "value"), append(slices.Clone(scoMay), "resolves_to_refs", "belongs_to_refs")},                                              // 6.9
		"file":          {sco, append(slices.Clone(scoMay), "hashes", "size", "name", "name_enc", "magic_number_hex", "mime_type", "ctime", "mtime", "atime", "contains_refs")}, // 6.7
	}
}

// stixUUID is the UUID that an SCO has by its contributing properties (2.9): version 5, of
// their canonical JSON (RFC 8785).
func stixUUID(o map[string]any) string {
	of := map[string]any{}
	for _, name := range []string{"value", "hashes", "name"} {
		if v, there := o[name]; there {
			of[name] = v
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b) // of texts alone, whose members it sorts
	e.SetEscapeHTML(false)
	if err := e.Encode(of); err != nil {
		return err.Error()
	}
	space, _ := hex.DecodeString("00abedb4aa42466c9c01fed23315a9b7")
	u := sha1.Sum(append(space, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...))
	u[6], u[8] = u[6]&0x0f|0x50, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

// stixFaults says what of a bundle is not as STIX 2.1 asks.
func stixFaults(raw string) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	d := json.NewDecoder(strings.NewReader(raw))
	d.UseNumber()
	var bundle struct {
		Type    string           `json:"type"`
		ID      string           `json:"id"`
		Objects []map[string]any `json:"objects"`
	}
	d.DisallowUnknownFields() // 8: type, id, objects, and no spec_version since 2.1
	if err := d.Decode(&bundle); err != nil {
		return []string{err.Error()}
	}
	if _, err := d.Token(); err != io.EOF {
		fault("something follows the bundle")
	}
	if m := stixIdentifier.FindStringSubmatch(bundle.ID); bundle.Type != "bundle" || m == nil || m[1] != "bundle" || len(bundle.Objects) == 0 {
		fault("no bundle: %s %s", bundle.Type, bundle.ID)
	}
	byID := map[string]bool{}
	for _, o := range bundle.Objects {
		id, _ := o["id"].(string)
		if byID[id] {
			fault("%s stands twice", id)
		}
		byID[id] = true
	}
	for _, o := range bundle.Objects {
		for _, f := range objectFaults(o, byID) {
			fault("%v: %s", o["id"], f)
		}
	}
	return faults
}

func objectFaults(o map[string]any, byID map[string]bool) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	kind, _ := o["type"].(string)
	members, ok := stixMembers()[kind]
	if !ok {
		return []string{"type " + kind}
	}
	for _, n := range members[0] {
		if _, there := o[n]; !there {
			fault("%s is required", n)
		}
	}
	text := func(n string) string { s, _ := o[n].(string); return s }
	for n, v := range o {
		if !slices.Contains(slices.Concat(members[0], members[1]), n) || !stixName.MatchString(n) && n != "id" {
			fault("%s is no property of %s", n, kind)
		}
		if s, is := v.(string); v == nil || is && s == "" {
			fault("%s is empty", n) // 3.1: a property without a value is left out
		}
		if l, is := v.([]any); is && len(l) == 0 {
			fault("%s is an empty list", n) // 2.11
		}
	}
	m := stixIdentifier.FindStringSubmatch(text("id"))
	if m == nil || m[1] != kind {
		fault("identifier")
	}
	if v, there := o["spec_version"]; there && v != "2.1" {
		fault("spec_version %v", v)
	}
	times := map[string]time.Time{}
	for _, n := range []string{"created", "modified", "first_observed", "last_observed"} {
		if _, there := o[n]; !there {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, text(n))
		if times[n] = at; err != nil || !stixTimestamp.MatchString(text(n)) || (n == "created" || n == "modified") && !stixExact.MatchString(text(n)) {
			fault("%s is no timestamp: %s", n, text(n))
		}
	}
	if times["modified"].Before(times["created"]) || times["last_observed"].Before(times["first_observed"]) {
		fault("times in the wrong order")
	}
	if by := text("created_by_ref"); by != "" && (!strings.HasPrefix(by, "identity--") || !byID[by]) {
		fault("created_by_ref %s", by)
	}
	refs, _ := o["external_references"].([]any)
	for _, r := range refs { // 2.5
		x, _ := r.(map[string]any)
		name, _ := x["source_name"].(string)
		if name == "" || x["description"] == nil && x["url"] == nil && x["external_id"] == nil {
			fault("external reference %v", x)
		}
	}
	switch kind {
	case "identity":
		if !slices.Contains([]string{"individual", "group", "system", "organization", "class", "unspecified"}, text("identity_class")) {
			fault("identity_class") // 10.7
		}
	case "observed-data":
		number, _ := o["number_observed"].(json.Number)
		if n, err := number.Int64(); err != nil || n < 1 || n > 999_999_999 {
			fault("number_observed %v", o["number_observed"])
		}
		list, _ := o["object_refs"].([]any)
		for _, r := range list {
			if s, _ := r.(string); !byID[s] || !slices.Contains([]string{"ipv4-addr", "ipv6-addr", "file"}, strings.Split(s, "--")[0]) {
				fault("object_refs %v", r)
			}
		}
	case "ipv4-addr", "ipv6-addr":
		if a, err := netip.ParseAddr(text("value")); err != nil || a.Is4() != (kind == "ipv4-addr") || a.Zone() != "" {
			fault("value %s", text("value"))
		}
	case "file":
		hashes, _ := o["hashes"].(map[string]any)
		if s, _ := hashes["SHA-256"].(string); len(hashes) != 1 || !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(s) {
			fault("hashes %v", hashes) // 10.6
		}
	}
	if kind != "identity" && kind != "observed-data" && (m == nil || m[3] != "5" || m[2] != stixUUID(o)) {
		fault("its identifier does not follow from it: %s", stixUUID(o))
	}
	return faults
}

// The check itself finds what is wrong.
func TestWhatSTIXAsks(t *testing.T) {
	const head, ip = `{"type":"bundle","id":"bundle--09e961a7-d1dc-551d-bff8-d663d11cb908","objects":[`, `{"type":"ipv4-addr","spec_version":"2.1","id":"ipv4-addr--39090fdc-366e-571f-ab5b-d05e2918f88f","value":"203.0.113.9"}`
	who := `{"type":"identity","spec_version":"2.1","id":"identity--fca54065-1596-5fcc-adbd-028fe7bce5e1","created":"2026-11-22T12:00:00.000Z","modified":"2026-11-22T12:00:00.000Z","name":"組織","identity_class":"organization"}`
	if f := stixFaults(head + who + "," + ip + "]}"); len(f) > 0 {
		t.Errorf("%q", f)
	}
	for _, change := range [][2]string{{`"value":"203.0.113.9"`, `"value":"203.0.113.8"`}, {"203.0.113.9", "evil"}, {`"type":"ipv4-addr"`, `"type":"x"`}, {"ipv4-addr--3", "ipv4-addr--Z"}, {`.000Z","modified`, `Z","modified`},
		{`,"name":"組織"`, ""}, {`"組織"`, `""`}, {"organization", "firm"}, {`"2.1","id":"identity`, `"2.0","id":"identity`}, {`"value":`, `"extra":1,"value":`}, {`"objects"`, `"spec_version":"2.1","objects"`},
		{`"created":"2026`, `"created":"2027`}} {
		bad := strings.Replace(head+who+","+ip+"]}", change[0], change[1], 1)
		if f := stixFaults(bad); len(f) == 0 {
			t.Errorf("nothing is wrong with %s", bad)
		}
	}
}
