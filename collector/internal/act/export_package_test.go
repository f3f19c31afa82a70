package act_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/evidence/evidencetest"
	"hozen/collector/internal/export"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/artifact"
	"hozen/internal/digest"
	"hozen/internal/pki"
	"hozen/internal/verify"
)

// update writes the newest of the packages that package verify keeps as vectors. Those of
// before are never written again.
var update = flag.Bool("update", false, "write the vector of package verify")

// office is an incident with evidence of two PCs that really was received.
type office struct {
	*fixture
	intake   *evidence.Intake
	incident string
	keiri    *sender
	sales    *sender
}

type sender struct {
	x        *office
	endpoint *evidencetest.Endpoint
	hostname string
	change   func(a *evidencetest.Acquisition) // before it is signed; optional
}

func newOffice(t testing.TB, x *fixture) *office {
	t.Helper()
	o := &office{fixture: x}
	key, err := pki.NewKey()
	ok(t, err)
	der, _, err := x.ca.IssueCollector([]string{"collector.test"}, nil, key.Public(), x.clock)
	ok(t, err)
	o.intake, err = evidence.OpenIntake(evidence.Config{DB: x.db, Blobs: x.blobs, Incoming: filepath.Join(t.TempDir(), "incoming"), Verifier: x.Acts, Tie: x.Tie,
		OnAccepted: x.OnAccepted, OnRefused: x.OnRefused, Signer: key, Certificate: der, CollectorName: "保全テスト", CASHA256: x.ca.Fingerprint(), MinFree: 1,
		Now: func() time.Time { return x.clock }})
	ok(t, err)
	o.keiri, o.sales = o.pc("経理PC-01"), o.pc("sales pc/2")
	inc, err := x.OpenIncident(t.Context(), x.owner, act.NewIncident{Title: "=身代金の画面", EndpointIDs: []string{o.keiri.endpoint.ID, o.sales.endpoint.ID}})
	ok(t, err)
	o.incident = inc.Number
	return o
}

// signing lets the acts sign the ledger.
func (x *fixture) signing() *checkpoint.Log {
	x.t.Helper()
	dir := x.t.TempDir()
	signer, err := checkpoint.Open(x.t.Context(), checkpoint.Config{DB: x.db, KeyFile: filepath.Join(dir, "key.pem"), Dir: filepath.Join(dir, "log"), Name: "hozen.test/log", Now: func() time.Time { return x.clock }})
	ok(x.t, err)
	x.Acts, err = act.New(act.Config{Checkpoints: signer, Addresses: []string{"192.0.2.1:7443"}, DB: x.db, CA: x.ca, Hub: x.hub, Blobs: x.blobs, PasswordCost: operator.Cost{MemoryKiB: 64, Iterations: 1},
		Now: func() time.Time { return x.clock }})
	ok(x.t, err)
	return signer
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (o *office) pc(hostname string) *sender {
	o.t.Helper()
	m, err := o.MintToken(o.t.Context(), o.owner, act.NewToken{Auto: true})
	ok(o.t, err)
	tok, err := pki.ParseToken(m.Text)
	ok(o.t, err)
	key, err := pki.NewKey()
	ok(o.t, err)
	csr, err := pki.NewCSR(key)
	ok(o.t, err)
	r, err := o.Enroll(o.t.Context(), act.EnrollCall{Secret: tok.Secret, CSR: csr, Host: endpoint.Description{Hostname: hostname, OS: "linux", Arch: "amd64", AgentVersion: "1.0.0"}, RemoteAddr: "192.0.2.7"})
	ok(o.t, err)
	return &sender{o, &evidencetest.Endpoint{ID: r.EndpointID, Key: key, Certificate: r.Certificate}, hostname, nil}
}

// send delivers an acquisition with these lines.
func (s *sender) send(profile string, lines map[artifact.Kind][]string) string {
	t := s.x.t
	t.Helper()
	a := s.endpoint.Acquisition(t, 0)
	a.Manifest.Profile, a.Manifest.CommandID, a.Manifest.Host.Hostname = profile, "", s.hostname
	at := artifact.Instant{Wall: s.x.clock.Add(-time.Minute).UTC(), BootNS: 1}
	a.Manifest.StartedAt, a.Manifest.FinishedAt = at, at
	a.Manifest.Probes = []artifact.ProbeOutcome{{Kind: "hostinfo", StartedAt: at, Outcome: artifact.Denied, Detail: "not permitted"}}
	a.Manifest.Outcome = artifact.Partial
	for _, k := range []artifact.Kind{"bodyfile", artifact.KindClock, artifact.KindDeletedExe, artifact.KindExeHash, artifact.KindFlight, artifact.KindNetConn, artifact.KindProcess, "startfile", artifact.KindSystemMap} {
		if k.Form() == artifact.FormRaw && len(lines[k]) > 0 {
			a.Add(t, k, []byte(strings.Join(lines[k], "\n")), 1) // without an end
		} else if len(lines[k]) > 0 {
			a.Add(t, k, []byte(strings.Join(lines[k], "\n")+"\n"), int64(len(lines[k])))
		}
	}
	if s.change != nil {
		s.change(a)
	}
	s.endpoint.Sign(t, a)
	_, err := evidencetest.Send(t.Context(), s.x.intake, s.endpoint.ID, a)
	ok(t, err)
	return a.Manifest.AcquisitionID
}

// captured is what a small PC has.
func captured() map[artifact.Kind][]string {
	return map[artifact.Kind][]string{
		artifact.KindProcess: {
			`{"pid":1,"ppid":0,"start_ticks":1,"boot_id":"b","comm":"systemd","started_at_derived":"2026-11-22T00:00:01Z","args":["/sbin/init","a,b"],"uid":0}`,
			`{"pid":77,"ppid":1,"start_ticks":5,"boot_id":"b","comm":"=cmd|' /C calc'!A0","exe":"/tmp/\"x\"","started_at_derived":"2026-11-22T00:00:05Z","uid":-1,"euid":0,"unread":["cwd"]}`,
			`{"pid":78,"ppid":1,"start_ticks":6,"boot_id":"b","comm":"＝1","cwd":"a\nb","started_at_derived":"2026-11-22T00:00:06Z","uid":0,"traced":true,"exe":null}`,
		},
		artifact.KindNetConn: {`{"ns_net":1,"proto":"tcp","state":"ESTABLISHED","local_addr":"10.0.0.5","local_port":5,"remote_addr":"203.0.113.9","remote_port":443,"uid":0,"owners":[{"pid":77,"start_ticks":5,"comm":"evil","fd":3}]}`},
		artifact.KindExeHash: {`{"path":"/tmp/x","size":3,"uid":0,"sha256":"` + strings.Repeat("ab", 32) + `","processes":[{"pid":77,"start_ticks":5}]}`},
		"bodyfile": {
			`{"type":"entry","path":"/etc/passwd","file_kind":"file","mode":"0644","uid":0,"gid":0,"size":13,"inode":7,"links":1,"modified_at":"2026-11-21T00:00:01.9Z","changed_at":"2026-11-21T00:00:02Z","mode_text":"-rw-r--r--","dev":"8:1","accessed_at":"2026-11-22T00:00:00Z"}`,
			`{"type":"entry","path":"/home/a|b\n","file_kind":"link","mode":"0777","uid":1000,"gid":1000,"size":3,"inode":18446744073709551615,"links":1,"modified_at":"1969-12-31T23:59:59.5Z","mode_text":"lrwxrwxrwx","dev":"8:1","target":"/etc/日本","path_b64":"L2hvbWUvYXxiCv8="}`,
			`{"type":"entry","path":"/bad","uid":"0"}`,
			`{"type":"tree","path":"/etc","depth":3,"names_of":"all","entries":2}`,
		},
		artifact.KindDeletedExe: {
			`{"part":"file","file":0,"path":"/tmp/x (1)","size":5,"uid":0}`, `{"part":"data","file":0,"offset":0,"data_b64":"aGVs"}`, `{"part":"data","file":0,"offset":3,"data_b64":"bG8="}`,
			`{"part":"end","file":0,"copied":5,"sha256":"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}`,
			`{"part":"file","file":1,"path":"/memfd:evil","memfd":true,"size":5,"uid":0}`, `{"part":"data","file":1,"offset":0,"data_b64":"aGVs"}`,
		},
		"startfile": {
			`{"part":"row","row":0,"class":"cron","pattern":"etc/crontab","state":"done","found":2,"copied":2,"bytes":10,"why":"w"}`,
			`{"part":"file","file":0,"row":0,"class":"cron","path":"/etc/secret","unread":"denied"}`,
			`{"part":"file","file":1,"row":0,"class":"cron","path":"/etc/crontab"}`, `{"part":"data","file":1,"offset":0,"data_b64":"aGVsbG8="}`,
			`{"part":"end","file":1,"copied":5,"sha256":"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824","stability":"same"}`,
			`{"part":"file","file":2,"row":0,"class":"cron","path":"/etc/CRONTAB","from":5}`, `{"part":"data","file":2,"offset":5,"data_b64":"aGVsbG8="}`,
			`{"part":"end","file":2,"copied":5,"sha256":"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824","stability":"same"}`,
			`{"part":"file","file":3,"row":0,"class":"cron","path":"/etc/shadow","unread":"denied"}`,
			`{"part":"file","file":4,"row":0,"class":"cron","path":"/etc/cron.d/日報"}`, `{"part":"end","file":4,"copied":0,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","stability":"same"}`,
		},
		artifact.KindSystemMap: {"ffffffff81000000 T _text"},
		artifact.KindClock:     {`{"wall":"2026-11-22T00:00:00Z","boot_ns":5}`},
		artifact.KindFlight:    {`{"event":"process_started","seq":1,"source":"procfs","at":"2026-11-22T00:00:07Z","boot_ns":7,"pid":77,"comm":"sh","uid":0,"euid":0,"exit_code":-1}`, `{"event":"heartbeat","seq":2,"source":"recorder","at":"2026-11-22T00:00:08Z","boot_ns":8}`},
	}
}

func (o *office) order(n act.NewExport) export.Record {
	o.t.Helper()
	if n.IncidentID == "" {
		n.IncidentID = o.incident
	}
	if n.Recipient == "" {
		n.Recipient, n.Purpose = "サンプル県警 サイバー課", "被害届に添付"
	}
	r, err := o.OrderExport(o.t.Context(), o.owner, n)
	ok(o.t, err)
	return r
}

func (o *office) write(r export.Record) []byte {
	o.t.Helper()
	var b bytes.Buffer
	_, err := o.WriteExport(o.t.Context(), o.owner, r.Number, &b)
	ok(o.t, err)
	return b.Bytes()
}

// check verifies a package with the verifier, which shares no code with what wrote it.
func (o *office) check(b []byte, anchor verify.PackageAnchor) verify.PackageReport {
	o.t.Helper()
	path := filepath.Join(o.t.TempDir(), "p.zip")
	ok(o.t, os.WriteFile(path, b, 0o600))
	r, err := verify.Package(o.t.Context(), path, anchor)
	ok(o.t, err)
	return r
}

func files(t testing.TB, b []byte) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	ok(t, err)
	out := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		ok(t, err)
		content, err := io.ReadAll(r)
		ok(t, err)
		_, name, _ := strings.Cut(f.Name, "/")
		out[name] = string(content)
	}
	return out
}

// withoutMACs wants no MAC of an entry in a package: they are the collector's own business.
func (o *office) withoutMACs(b []byte) {
	o.t.Helper()
	rows, err := o.db.Read().QueryContext(o.t.Context(), `SELECT mac FROM ledger_entries`)
	ok(o.t, err)
	defer rows.Close()
	all, n := files(o.t, b), 0
	for ; rows.Next(); n++ {
		var mac string
		ok(o.t, rows.Scan(&mac))
		if len(mac) != 64 {
			o.t.Fatalf("entry %d has the MAC %q", n, mac)
		}
		for name, content := range all {
			if strings.Contains(content, mac) {
				o.t.Errorf("%s has a MAC", name)
			}
		}
	}
	ok(o.t, rows.Err())
	if n == 0 {
		o.t.Error("there are no entries")
	}
}

func TestPackageIsWhatTheVerifierTakes(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		signer := x.signing()
		o := newOffice(t, x)
		o.keiri.send("flash", captured())
		o.sales.send("volatile", captured())
		r := o.order(act.NewExport{})
		b := o.write(r)
		got := o.check(b, verify.PackageAnchor{Anchor: verify.Anchor{CASHA256: x.ca.Fingerprint()}})
		for _, p := range got.Problems {
			t.Errorf("%+v", p)
		}
		if got.Verdict != verify.Verified || got.Number != o.incident+"-P01" || len(got.Acquisitions) != 2 || got.Recipient != r.Recipient {
			t.Errorf("%+v", got)
		}
		want := map[string]verify.Outcome{"derived": verify.NotChecked, "checkpoint": verify.NotChecked, "timestamp": verify.Absent, "uploads": verify.Absent} // the CA says nothing of the ledger's key
		for _, p := range got.Parts {
			if w := want[p.Name]; w == "" && p.Outcome != verify.Fits || w != "" && p.Outcome != w {
				t.Errorf("part %+v", p)
			}
		}
		if got := o.check(b, verify.PackageAnchor{}); got.Verdict != verify.Consistent {
			t.Errorf("without an anchor: %s", got.Verdict)
		}
		if got := o.check(b, verify.PackageAnchor{PackageSHA256: digest.Of(b).String()}); got.Verdict != verify.Verified || got.Anchor != "package" {
			t.Errorf("by its SHA-256: %s", got.Verdict)
		}
		signed, _, err := signer.Newest(t.Context(), r.OrganisationID)
		ok(t, err)
		if got := o.check(b, verify.PackageAnchor{CheckpointKey: signed.Key.Text(signed.Origin)}); got.Verdict != verify.Verified || got.Anchor != "checkpoint" {
			t.Errorf("by the key of the ledger: %s %+v", got.Verdict, got.Problems)
		}
		o.looksRight(b)
		o.withoutMACs(b)
		if acts := strings.Join(x.acts(r.ID), " "); acts != "export.order export.frozen export.open export.written" {
			t.Errorf("ledger: %s", acts)
		}
		again, err := x.Export(t.Context(), x.owner, r.ID)
		if err != nil || again.SHA256 != digest.Of(b).String() || again.Size != int64(len(b)) {
			t.Errorf("%+v, %v", again, err)
		}
		if kinds := x.kinds(r.IncidentID); !strings.HasSuffix(kinds, " export") {
			t.Errorf("timeline: %s", kinds)
		}
		x.ledgerStands()
	})
}

// looksRight looks at what people and other programs read.
func (o *office) looksRight(b []byte) {
	o.t.Helper()
	all := files(o.t, b)
	var table, folder string
	for name, content := range all {
		if strings.HasSuffix(name, "/process.csv") && strings.Contains(name, "経理PC-01_") {
			table, folder = content, name
		}
	}
	if folder == "" {
		o.t.Fatal("there is no table of the processes of 経理PC-01")
	}
	for _, want := range []string{"\xef\xbb\xbf\"pid\",\"ppid\"", `"'=cmd|' /C calc'!A0"`, `"/tmp/""x"""`, `"-1"`, `"'＝1"`, "\"a\nb\"", `"[""cwd""]"`, "\r\n"} {
		if !strings.Contains(table, want) {
			o.t.Errorf("the table lacks %q: %s", want, table)
		}
	}
	for name, wants := range map[string][]string{
		"data/iocs.csv":          {`"ip","203.0.113.9","global","tcp 443 evil"`, `"sha256","` + strings.Repeat("ab", 32)},
		"data/timeline.jsonl":    {`"timestamp_desc":"process started`, `"timestamp_desc":"flight record: process_started"`, `"timestamp_desc":"incident: evidence"`},
		"README-ja.txt":          {"サンプル県警 サイバー課", "システムが拒否", "hozen-verify --ca-fingerprint", "=身代金の画面"},
		"README-en.txt":          {"hostinfo = denied (not permitted)", "sha256sum -c manifest-sha256.txt"},
		"bag-info.txt":           {"Payload-Oxum: ", "External-Identifier: " + o.incident + "-P01"},
		"data/custody/form.html": {"証拠取扱い記録", o.incident + "-E01"},
		"data/incident.json":     {`"title": "=身代金の画面"`},
		"data/iocs.stix.json":    {`{"type":"ipv4-addr","spec_version":"2.1","id":"ipv4-addr--`, `"value":"203.0.113.9"}`, `"object_refs":["ipv4-addr--`, `"hashes":{"SHA-256":"` + strings.Repeat("ab", 32)},
		strings.Split(folder, "decoded/")[0] + "bodyfile": {
			"0|/etc/passwd|7|-rw-r--r--|0|0|13|1795305600|1795219201|1795219202|0\n", "0|/home/a\\x7cb\\x0a\\xff -> /etc/日本|18446744073709551615|lrwxrwxrwx|1000|1000|3|0|-1|0|0\n"},
		strings.Split(folder, "decoded/")[0] + "fs/$rootfs$/etc/crontab":   {"hello"},
		strings.Split(folder, "decoded/")[0] + "fs/$rootfs$/etc/cron.d/日報": {""},
		strings.Split(folder, "decoded/")[0] + "fs/index.jsonl": {`"path":"/tmp/x (1)","name":"fs/$rootfs$/tmp/x (1)","size":5,"sha256":"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824","whole":true}`,
			`"path":"/memfd:evil","name":"fs/$other$/`, `"whole":false}`, `"path":"/etc/CRONTAB","name":"fs/$other$/`,
			`"kind":"startfile","file":1,"path":"/etc/crontab"`, `"kind":"startfile","file":4,"path":"/etc/cron.d/日報"`}, // as the lines number them: the first is no copy
	} {
		for _, want := range wants {
			if !strings.Contains(all[name], want) {
				o.t.Errorf("%s lacks %q:\n%.3000s", name, want, all[name])
			}
		}
	}
	for _, f := range stixFaults(all["data/iocs.stix.json"]) {
		o.t.Errorf("STIX 2.1: %s", f)
	}
	if strings.Contains(all["data/timeline.jsonl"], "heartbeat") {
		o.t.Error("a heartbeat is no event")
	}
	for i, line := range strings.Split(strings.TrimSuffix(all["data/timeline.jsonl"], "\n"), "\n") {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil || e["message"] == "" || e["datetime"] == "" || e["timestamp_desc"] == "" {
			o.t.Errorf("line %d is not one for Timesketch: %s", i+1, line)
		}
	}
}

// The same record gives the same bytes, whatever has happened since.
func TestSamePackageAgain(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		o := newOffice(t, x)
		o.keiri.send("flash", captured())
		r := o.order(act.NewExport{})
		first := o.write(r)
		x.clock = x.clock.Add(time.Hour)
		o.sales.send("flash", captured())
		ok(t, x.LabelEndpoint(t.Context(), x.owner, o.keiri.endpoint.ID, "経理"))
		ok(t, x.AddNote(t.Context(), x.owner, o.incident, "later"))
		ok(t, x.CloseIncident(t.Context(), x.owner, o.incident, "done"))
		x.signing() // from now on; what was made without stays without
		second := o.order(act.NewExport{Recipient: "another", Purpose: "p"})
		if !bytes.Equal(o.write(r), first) {
			t.Error("the same record gave other bytes")
		}
		if second.Number != o.incident+"-P02" {
			t.Errorf("the second is %s", second.Number)
		}
		b := o.write(second)
		x.clock = x.clock.Add(time.Hour)
		ok(t, x.AddNote(t.Context(), x.owner, o.incident, "later still"))
		if !bytes.Equal(o.write(second), b) {
			t.Error("the same record gave other bytes")
		}
		if got := o.check(b, verify.PackageAnchor{}); got.Verdict != verify.Consistent || len(got.Acquisitions) != 2 {
			t.Errorf("%+v", got)
		}
	})
}

func TestScopeOfAPackage(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t))
	o := newOffice(t, x)
	o.keiri.send("flash", captured())
	o.keiri.send("volatile", captured())
	hidden := o.sales.send("flash", captured())
	b := o.write(o.order(act.NewExport{Hosts: []string{o.keiri.endpoint.ID}, Profiles: []string{"flash"}}))
	got := o.check(b, verify.PackageAnchor{})
	if got.Verdict != verify.Consistent || len(got.Acquisitions) != 1 || got.Acquisitions[0].EndpointID != o.keiri.endpoint.ID {
		t.Errorf("%+v", got)
	}
	all := files(t, b)
	for name, content := range all {
		if strings.Contains(name, hidden) || strings.Contains(content, hidden) {
			t.Errorf("%s tells of what is out of scope", name)
		}
	}
	if !strings.Contains(all["README-ja.txt"], "含めていない端末: sales pc/2") || !strings.Contains(all["README-en.txt"], "acquisitions that are not in it: 2") {
		t.Errorf("the README does not say what is left out:\n%s", all["README-ja.txt"])
	}
	_, err := x.OrderExport(t.Context(), x.owner, act.NewExport{IncidentID: o.incident, Recipient: "r", Purpose: "p", Profiles: []string{"memory"}})
	wantInvalid(t, err, "profiles", "unknown")
	_, err = x.OrderExport(t.Context(), x.owner, act.NewExport{IncidentID: o.incident, Recipient: "r", Purpose: "p", Hosts: []string{"end_none"}})
	wantInvalid(t, err, "hosts", "unknown")
	_, err = x.OrderExport(t.Context(), x.owner, act.NewExport{IncidentID: o.incident, Purpose: "p"})
	wantInvalid(t, err, "recipient", "required")
	_, err = x.OrderExport(t.Context(), x.owner, act.NewExport{IncidentID: o.incident, Recipient: "r"})
	wantInvalid(t, err, "purpose", "required")
	for _, role := range []operator.Role{operator.Viewer, operator.Auditor, operator.Vendor} {
		_, err = x.OrderExport(t.Context(), x.person("p-"+string(role), role), act.NewExport{IncidentID: o.incident, Recipient: "r", Purpose: "p"})
		wantErr(t, err, act.ErrForbidden)
	}
}

// A package of evidence that was changed in the store is not made.
func TestDamagedEvidenceIsNotPacked(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t))
	o := newOffice(t, x)
	o.keiri.send("flash", captured())
	r := o.order(act.NewExport{})
	items, err := x.Evidence(t.Context(), x.owner, o.incident)
	ok(t, err)
	d, err := digest.Parse(items[1].StoredSHA256)
	ok(t, err)
	path := ""
	ok(t, filepath.WalkDir(filepath.Dir(t.TempDir()), func(p string, e os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(p, d.String()) {
			path = p
		}
		return err
	}))
	b, err := os.ReadFile(path)
	ok(t, err)
	b[len(b)/2] ^= 1
	ok(t, os.Chmod(path, 0o600))
	ok(t, os.WriteFile(path, b, 0o600))
	if _, err := x.WriteExport(t.Context(), x.owner, r.ID, io.Discard); err == nil || !strings.Contains(err.Error(), items[1].Number) {
		t.Errorf("%v, want the number %s in it", err, items[1].Number)
	}
	if acts := strings.Join(x.acts(r.ID), " "); acts != "export.order export.frozen export.open" {
		t.Errorf("ledger: %s", acts)
	}
}

// What an endpoint writes into its lines ends no package: the sealed bytes are in it, the
// readable copy is not, the reason is, and the verifier agrees.
func TestOddLinesEndNoPackage(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t))
	o := newOffice(t, x)
	o.keiri.send("flash", captured())
	odd := captured()
	odd[artifact.KindProcess] = []string{odd[artifact.KindProcess][0], `{"a":"\q"}`}
	odd[artifact.KindExeHash] = []string{"not JSON", ""}
	odd[artifact.KindFlight] = []string{`{"event":"` + strings.Repeat("a", 64<<20) + `"}`}
	odd[artifact.KindNetConn] = []string{"{\"a\":\"\xff\"}"}
	odd["startfile"] = append([]string{"not JSON"}, odd["startfile"]...) // its files are there all the same
	o.sales.change = func(a *evidencetest.Acquisition) {
		e := &a.Manifest.Artifacts[slices.IndexFunc(a.Manifest.Artifacts, func(e artifact.Entry) bool { return e.Kind == artifact.KindClock })] // whole lines in a frame with a wrong checksum
		b := a.Parts[e.Name]
		b[len(b)-1] ^= 1
		e.Stored.SHA256 = digest.Of(b).String()
	}
	bad := o.sales.send("flash", odd)
	b := o.write(o.order(act.NewExport{}))
	all := files(t, b)
	var doc struct {
		Hosts []struct {
			Folder       string
			Acquisitions []struct {
				ID       string
				Evidence []struct {
					Name, Lines, Table, Bytes string
					Why                       string `json:"not_decoded"`
				}
			}
		}
	}
	ok(t, json.Unmarshal([]byte(all["data/package.json"]), &doc))
	without := 0
	for _, h := range doc.Hosts {
		for _, a := range h.Acquisitions {
			for _, e := range a.Evidence {
				left := a.ID == bad && slices.ContainsFunc([]string{"process", "exehash", "flight", "netconn", "startfile"}, func(k string) bool { return strings.Contains(e.Name, "/"+k+".") })
				if left {
					without++
				}
				if e.Bytes != "" {
					continue
				}
				if left != (e.Why != "") || left == (e.Lines != "") || left == (e.Table != "") {
					t.Errorf("%s %+v", a.ID, e)
				}
				if all["data/hosts/"+h.Folder+"/sealed/"+a.ID+"/"+e.Name] == "" {
					t.Errorf("%s is not in the package", e.Name)
				}
			}
		}
	}
	if without != 5 {
		t.Errorf("%d artifacts have no copy, want 5", without)
	}
	got := o.check(b, verify.PackageAnchor{Anchor: verify.Anchor{CASHA256: x.ca.Fingerprint()}})
	told := 0
	for _, u := range got.Unchecked {
		if u.Why == "odd_lines" {
			told++
		}
	}
	if got.Verdict != verify.Verified || told != 5 {
		t.Errorf("%s, %d told: %+v", got.Verdict, told, got.Problems)
	}
}

type failing struct{ left int }

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errors.New("the browser went away")
	}
	return len(p), nil
}

func TestBrokenOffPackageHasNoDigest(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t))
	o := newOffice(t, x)
	o.keiri.send("flash", captured())
	r := o.order(act.NewExport{})
	if _, err := x.WriteExport(t.Context(), x.owner, r.ID, &failing{2000}); err == nil {
		t.Fatal("it was written nowhere")
	}
	got, err := x.Export(t.Context(), x.owner, r.ID)
	if err != nil || got.SHA256 != "" {
		t.Errorf("%+v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := x.WriteExport(ctx, x.owner, r.ID, io.Discard); err == nil {
		t.Error("it was made for nobody")
	}
}
