package verify_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"hozen/internal/artifact"
	"hozen/internal/custody"
	"hozen/internal/digest"
	"hozen/internal/id"
	"hozen/internal/pki"
	"hozen/internal/verify"
)

func check(t testing.TB, dir string, a verify.Anchor) verify.Report {
	t.Helper()
	r, err := verify.Folder(context.Background(), dir, a)
	must(t, err)
	return r
}

func codes(r verify.Report) string {
	var list []string
	for _, p := range r.Problems {
		list = append(list, p.Code+" "+p.File)
	}
	return strings.Join(list, ", ")
}

func TestVerdicts(t *testing.T) {
	f, e := newFolder(t), newEnrolledFolder(t)
	code := check(t, f.dir, verify.Anchor{}).ReceiptCode
	other := digest.Of([]byte("other")).String()
	colons := func(s string) string {
		var parts []string
		for i := 0; i < len(s); i += 2 {
			parts = append(parts, strings.ToUpper(s[i:i+2]))
		}
		return strings.Join(parts, ":")
	}
	for _, c := range []struct {
		name   string
		dir    string
		anchor verify.Anchor
		want   verify.Verdict
		by     string
	}{
		{"no anchor", f.dir, verify.Anchor{}, verify.Consistent, ""},
		{"no anchor, enrolled", e.dir, verify.Anchor{}, verify.Consistent, ""},
		{"receipt code", f.dir, verify.Anchor{ReceiptCode: code}, verify.Verified, "receipt_code"},
		{"receipt code as heard", f.dir, verify.Anchor{ReceiptCode: " " + strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(code, "0", "o"), "-", " "))}, verify.Verified, "receipt_code"},
		{"another receipt code", f.dir, verify.Anchor{ReceiptCode: "00000-00000-00000-00000-00000"}, verify.NotVerified, ""},
		{"key", f.dir, verify.Anchor{KeySHA256: f.keySHA256()}, verify.Verified, "key"},
		{"key as openssl prints it", f.dir, verify.Anchor{KeySHA256: colons(f.keySHA256())}, verify.Verified, "key"},
		{"another key", f.dir, verify.Anchor{KeySHA256: other}, verify.NotVerified, ""},
		{"CA", e.dir, verify.Anchor{CASHA256: e.ca.Fingerprint()}, verify.Verified, "ca"},
		{"another CA", e.dir, verify.Anchor{CASHA256: other}, verify.NotVerified, ""},
		{"CA for a one-time key", f.dir, verify.Anchor{CASHA256: other}, verify.NotVerified, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := check(t, c.dir, c.anchor)
			if r.Verdict != c.want || r.Anchor != c.by {
				t.Errorf("%s by %q: %+v", r.Verdict, r.Anchor, r.Problems)
			}
		})
	}
	r := check(t, e.dir, verify.Anchor{CASHA256: e.ca.Fingerprint()})
	if r.Receipt == nil || !r.Receipt.Anchored || r.Receipt.IncidentNumber != "INC-2026-0001" || r.Receipt.LedgerIndex != 4 {
		t.Errorf("receipt %+v", r.Receipt)
	}
	if r = check(t, e.dir, verify.Anchor{KeySHA256: e.keySHA256()}); r.Receipt == nil || r.Receipt.Anchored {
		t.Errorf("a receipt by a CA that nobody vouched for counts as anchored: %+v", r.Receipt)
	}
}

func TestRefusesWrongAnchors(t *testing.T) {
	f := newFolder(t)
	for _, a := range []verify.Anchor{
		{CASHA256: "12"}, {KeySHA256: strings.Repeat("g", 64)}, {ReceiptCode: "AAAAA"}, {ReceiptCode: "AAAAA-AAAAA-AAAAA-AAAAA-AAAAU"},
		{CASHA256: f.keySHA256(), KeySHA256: f.keySHA256()},
	} {
		if _, err := verify.Folder(t.Context(), f.dir, a); err == nil {
			t.Errorf("took %+v", a)
		}
	}
	if _, err := verify.Folder(t.Context(), f.dir+"/nowhere", verify.Anchor{}); err == nil {
		t.Error("checked a folder that is not there")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := verify.Folder(ctx, f.dir, verify.Anchor{}); err == nil {
		t.Error("went on after it was broken off")
	}
}

// TestTampering changes one thing each; the problem must be named with its file. The
// first list is what somebody without the key can do, the second what the holder of the
// key, or somebody who swaps the key too, could try.
func TestTampering(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(t *testing.T, f *folder)
		want string // code and file of a problem
	}{
		{"manifest changed", func(t *testing.T, f *folder) {
			f.write("manifest.json", bytes.Replace(f.read("manifest.json"), []byte("pc1"), []byte("pc2"), 1))
		}, "signature manifest.json.sig"},
		{"newline after the manifest", func(t *testing.T, f *folder) { f.write("manifest.json", append(f.read("manifest.json"), '\n')) }, "signature manifest.json.sig"},
		{"manifest cut off", func(t *testing.T, f *folder) { must(t, os.Truncate(f.path("manifest.json"), 100)) }, "manifest manifest.json"},
		{"manifest empty", func(t *testing.T, f *folder) { f.write("manifest.json", nil) }, "manifest manifest.json"},
		{"manifest gone", func(t *testing.T, f *folder) { must(t, os.Remove(f.path("manifest.json"))) }, "missing manifest.json"},
		{"manifest huge", func(t *testing.T, f *folder) { must(t, os.Truncate(f.path("manifest.json"), 1<<40)) }, "too_large manifest.json"},
		{"manifest is a link", func(t *testing.T, f *folder) {
			must(t, os.Rename(f.path("manifest.json"), f.path("../real.json")))
			must(t, os.Symlink("../real.json", f.path("manifest.json")))
		}, "not_regular manifest.json"},
		{"manifest is a folder", func(t *testing.T, f *folder) {
			must(t, os.Remove(f.path("manifest.json")))
			must(t, os.Mkdir(f.path("manifest.json"), 0o700))
		}, "not_regular manifest.json"},
		{"signature changed", func(t *testing.T, f *folder) {
			b := f.read("manifest.json.sig")
			b[len(b)-1] ^= 1
			f.write("manifest.json.sig", b)
		}, "signature manifest.json.sig"},
		{"signature cut off", func(t *testing.T, f *folder) { must(t, os.Truncate(f.path("manifest.json.sig"), 10)) }, "signature manifest.json.sig"},
		{"bytes after the signature", func(t *testing.T, f *folder) { f.write("manifest.json.sig", append(f.read("manifest.json.sig"), 0)) }, "signature manifest.json.sig"},
		{"signature gone", func(t *testing.T, f *folder) { must(t, os.Remove(f.path("manifest.json.sig"))) }, "missing manifest.json.sig"},
		{"another key", func(t *testing.T, f *folder) {
			key, err := pki.NewKey()
			must(t, err)
			f.write("signer.pem", f.publicPEM(key))
		}, "signer signer.pem"},
		{"key is text", func(t *testing.T, f *folder) { f.write("signer.pem", []byte("hello")) }, "signer signer.pem"},
		{"two keys", func(t *testing.T, f *folder) {
			f.write("signer.pem", append(f.read("signer.pem"), f.read("signer.pem")...))
		}, "signer signer.pem"},
		{"key gone", func(t *testing.T, f *folder) { must(t, os.Remove(f.path("signer.pem"))) }, "missing signer.pem"},
		{"certificate for a one-time key", func(t *testing.T, f *folder) { f.write("signer-cert.pem", []byte("x")) }, "certificate signer-cert.pem"},
		{"first byte of an artifact", func(t *testing.T, f *folder) { flip(f, processName, 0) }, "stored " + processName},
		{"middle byte of an artifact", func(t *testing.T, f *folder) { flip(f, processName, 30) }, "stored " + processName},
		{"last byte of an artifact", func(t *testing.T, f *folder) { flip(f, processName, -1) }, "stored " + processName},
		{"artifact cut off", func(t *testing.T, f *folder) {
			must(t, os.Truncate(f.path(processName), 20))
		}, "size " + processName},
		{"artifact grown", func(t *testing.T, f *folder) { f.write(processName, append(f.read(processName), 0)) }, "size " + processName},
		{"artifact gone", func(t *testing.T, f *folder) { must(t, os.Remove(f.path(processName))) }, "missing " + processName},
		{"artifacts swapped", func(t *testing.T, f *folder) {
			a, b := f.read(processName), f.read(clockName)
			f.write(processName, b)
			f.write(clockName, a)
		}, "size " + processName},
		{"artifact is a link", func(t *testing.T, f *folder) {
			must(t, os.Rename(f.path(processName), f.path("artifacts/x")))
			must(t, os.Symlink("x", f.path(processName)))
		}, "not_regular " + processName},
		{"artifacts is a link", func(t *testing.T, f *folder) {
			must(t, os.Rename(f.path("artifacts"), f.path("../elsewhere")))
			must(t, os.Symlink("../elsewhere", f.path("artifacts")))
		}, "folder artifacts"},
		{"extra artifact", func(t *testing.T, f *folder) { f.write("artifacts/extra.jsonl.zst", nil) }, "extra artifacts/extra.jsonl.zst"},
		{"extra file", func(t *testing.T, f *folder) { f.write("README.txt", nil) }, "extra README.txt"},
		{"extra folder", func(t *testing.T, f *folder) { must(t, os.Mkdir(f.path("more"), 0o700)) }, "extra more"},
		{"hidden file", func(t *testing.T, f *folder) { f.write("artifacts/.x", nil) }, "extra artifacts/.x"},
		{"receipt for a one-time key", func(t *testing.T, f *folder) { f.write("receipt.json", []byte("{}")) }, "receipt receipt.json"},

		{"signed: unknown format", func(t *testing.T, f *folder) { f.edit("hozen-manifest/1", "hozen-manifest/2") }, "manifest manifest.json"},
		{"signed: name twice", func(t *testing.T, f *folder) { f.edit(`"profile"`, `"profile": "x", "profile"`) }, "manifest manifest.json"},
		{"signed: name twice deep down", func(t *testing.T, f *folder) { f.edit(`"boot_ns": 5`, `"boot_ns": 5, "boot_ns": 6`) }, "manifest manifest.json"},
		{"signed: name in other letters", func(t *testing.T, f *folder) { f.edit(`"profile"`, `"Profile"`) }, "manifest manifest.json"},
		{"signed: both spellings", func(t *testing.T, f *folder) { f.edit(`"profile"`, `"PROFILE": "x", "profile"`) }, "manifest manifest.json"},
		{"signed: unknown name", func(t *testing.T, f *folder) { f.edit(`"profile"`, `"note": "x", "profile"`) }, "manifest manifest.json"},
		{"signed: null", func(t *testing.T, f *folder) { f.edit(`"flash"`, `null`) }, "manifest manifest.json"},
		{"signed: number as text", func(t *testing.T, f *folder) { f.edit(`"records": 2`, `"records": "2"`) }, "manifest manifest.json"},
		{"signed: fraction", func(t *testing.T, f *folder) { f.edit(`"records": 2`, `"records": 2.5`) }, "manifest manifest.json"},
		{"signed: negative", func(t *testing.T, f *folder) { f.edit(`"records": 2`, `"records": -2`) }, "manifest manifest.json"},
		{"signed: huge number", func(t *testing.T, f *folder) { f.edit(`"records": 2`, `"records": 99999999999999999999`) }, "manifest manifest.json"},
		{"signed: text after the end", func(t *testing.T, f *folder) { f.signBytes(append(f.read("manifest.json"), "{}"...)) }, "manifest manifest.json"},
		{"signed: not UTF-8", func(t *testing.T, f *folder) { f.edit(`pc1`, "pc\xff") }, "manifest manifest.json"},
		{"signed: local time", func(t *testing.T, f *folder) { f.edit(`.000000001Z`, ".000000001+09:00") }, "manifest manifest.json"},
		{"signed: unknown outcome", func(t *testing.T, f *folder) { f.edit(`"denied"`, `"great"`) }, "manifest manifest.json"},
		{"signed: unknown trigger", func(t *testing.T, f *folder) { f.edit(`"manual"`, `"because"`) }, "manifest manifest.json"},
		{"signed: bad identifier", func(t *testing.T, f *folder) { f.edit(`"acq_`, `"acq_x`) }, "manifest manifest.json"},
		{"signed: nested deeply", func(t *testing.T, f *folder) {
			f.edit(`"flash"`, strings.Repeat("[", 5000)+strings.Repeat("]", 5000))
		}, "manifest manifest.json"},
		{"signed: name that climbs", func(t *testing.T, f *folder) { f.edit(processName, "artifacts/../../etc/passwd") }, "manifest manifest.json"},
		{"signed: absolute name", func(t *testing.T, f *folder) { f.edit(processName, "/etc/passwd") }, "manifest manifest.json"},
		{"signed: name of Windows", func(t *testing.T, f *folder) { f.edit(processName, `artifacts\\..\\x`) }, "manifest manifest.json"},
		{"signed: artifact twice", func(t *testing.T, f *folder) {
			f.manifest.Artifacts = append(f.manifest.Artifacts, f.manifest.Artifacts[0])
			f.sign(true)
		}, "manifest manifest.json"},
		{"signed: artifact without a probe", func(t *testing.T, f *folder) {
			f.add("netconn", "{}\n", 1)
			f.sign(true)
		}, "manifest manifest.json"},
		{"signed: probe without its artifact", func(t *testing.T, f *folder) {
			f.manifest.Artifacts = f.manifest.Artifacts[:1]
			f.sign(true)
		}, "manifest manifest.json"},
		{"signed: endpoint and one-time key", func(t *testing.T, f *folder) {
			f.manifest.EndpointID = id.New(id.Endpoint)
			f.sign(true)
		}, "manifest manifest.json"},
		{"signed: another algorithm", func(t *testing.T, f *folder) { f.edit("ecdsa-p256-sha256", "none") }, "manifest manifest.json"},
		{"signed: wrong count", func(t *testing.T, f *folder) {
			f.manifest.Probes[0].Records, f.manifest.Artifacts[0].Records = 3, 3
			f.sign(true)
		}, "records " + processName},
		{"signed: counts disagree", func(t *testing.T, f *folder) {
			f.manifest.Artifacts[0].Records = 3
			f.sign(true)
		}, "manifest manifest.json"},
		{"signed: wrong plain digest", func(t *testing.T, f *folder) {
			f.manifest.Artifacts[0].Plain.SHA256 = digest.Of(nil).String()
			f.sign(true)
		}, "plain " + processName},
		{"signed: wrong stored digest", func(t *testing.T, f *folder) {
			f.manifest.Artifacts[0].Stored.SHA256 = digest.Of(nil).String()
			f.sign(true)
		}, "stored " + processName},
		{"signed: plain size too small", func(t *testing.T, f *folder) {
			f.manifest.Artifacts[0].Plain.Size--
			f.sign(true)
		}, "size " + processName},
		{"signed: plain size too large", func(t *testing.T, f *folder) {
			f.manifest.Artifacts[0].Plain.Size++
			f.sign(true)
		}, "size " + processName},
		{"signed: plain size beyond the limit", func(t *testing.T, f *folder) {
			f.manifest.Artifacts[0].Plain.Size = 1 << 40
			f.sign(true)
		}, "manifest manifest.json"},
		{"signed: zstd cut off", func(t *testing.T, f *folder) { stored(t, f, compress(t, []byte(processText))[:40], processText) }, "compression " + processName},
		{"signed: rubbish after zstd", func(t *testing.T, f *folder) {
			stored(t, f, append(compress(t, []byte(processText)), "rubbish"...), processText)
		}, "compression " + processName},
		{"signed: not zstd", func(t *testing.T, f *folder) { stored(t, f, []byte(processText), processText) }, "compression " + processName},
		{"signed: bomb", func(t *testing.T, f *folder) {
			stored(t, f, compress(t, bytes.Repeat([]byte("{}\n"), 100<<20/3)), processText)
		}, "size " + processName},
		{"signed: zstd that says nothing of a second frame", func(t *testing.T, f *folder) {
			stored(t, f, append(compress(t, []byte(processText)), compress(t, []byte("{}\n"))...), processText)
		}, "size " + processName},
		{"signed: last line cut off", func(t *testing.T, f *folder) { plain(t, f, "{}\n{}") }, "line " + processName},
		{"signed: empty line", func(t *testing.T, f *folder) { plain(t, f, "{}\n\n") }, "line " + processName},
		{"signed: line is no object", func(t *testing.T, f *folder) { plain(t, f, "{}\n[1]\n") }, "line " + processName},
		{"signed: line is two objects", func(t *testing.T, f *folder) { plain(t, f, "{}\n{}{}\n") }, "line " + processName},
		{"signed: line is not UTF-8", func(t *testing.T, f *folder) { plain(t, f, "{}\n{\"a\":\"\xff\"}\n") }, "line " + processName},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFolder(t)
			c.do(t, f)
			r := check(t, f.dir, verify.Anchor{KeySHA256: f.keySHA256()})
			if r.Verdict != verify.NotVerified || !slices.ContainsFunc(r.Problems, func(p verify.Problem) bool { return p.Code+" "+p.File == c.want }) {
				t.Errorf("%s with %s; want %s", r.Verdict, codes(r), c.want)
			}
			for _, p := range r.Problems {
				if !slices.Contains(verify.Codes(), p.Code) {
					t.Errorf("code %q is not listed", p.Code)
				}
			}
		})
	}
}

func flip(f *folder, name string, at int) {
	b := f.read(name)
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 0x40
	f.write(name, b)
}

// stored makes the artifact of processes consist of these bytes, signed.
func stored(t *testing.T, f *folder, b []byte, text string) {
	t.Helper()
	f.addStored("process", b, []byte(text), 2)
	f.sign(true)
}

// plain makes it decompress to text, signed.
func plain(t *testing.T, f *folder, text string) {
	t.Helper()
	f.add("process", text, 2)
	f.sign(true)
}

func TestTamperingOfEnrolledEvidence(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(t *testing.T, f *folder)
		want string
	}{
		{"certificate gone", func(t *testing.T, f *folder) { must(t, os.Remove(f.path("signer-cert.pem"))) }, "missing signer-cert.pem"},
		{"certificate cut off", func(t *testing.T, f *folder) { must(t, os.Truncate(f.path("signer-cert.pem"), 300)) }, "certificate signer-cert.pem"},
		{"no issuer", func(t *testing.T, f *folder) { f.write("signer-cert.pem", pki.CertificatePEM(f.leaf)) }, "certificate signer-cert.pem"},
		{"another issuer", func(t *testing.T, f *folder) {
			ca, err := pki.NewCA("other", f.manifest.StartedAt.Wall)
			must(t, err)
			f.write("signer-cert.pem", append(pki.CertificatePEM(f.leaf), ca.CertificatePEM()...))
		}, "certificate signer-cert.pem"},
		{"certificate of another endpoint", func(t *testing.T, f *folder) {
			leaf, _, err := f.ca.IssueAgent(id.New(id.Endpoint), f.key.Public(), f.manifest.StartedAt.Wall)
			must(t, err)
			f.write("signer-cert.pem", append(pki.CertificatePEM(leaf), f.ca.CertificatePEM()...))
		}, "certificate signer-cert.pem"},
		{"certificate of another key", func(t *testing.T, f *folder) {
			key, err := pki.NewKey()
			must(t, err)
			leaf, _, err := f.ca.IssueAgent(f.manifest.EndpointID, key.Public(), f.manifest.StartedAt.Wall)
			must(t, err)
			f.write("signer-cert.pem", append(pki.CertificatePEM(leaf), f.ca.CertificatePEM()...))
		}, "certificate signer-cert.pem"},
		{"certificate of the collector", func(t *testing.T, f *folder) {
			leaf, _, err := f.ca.IssueCollector(nil, nil, f.key.Public(), f.manifest.StartedAt.Wall)
			must(t, err)
			f.write("signer-cert.pem", append(pki.CertificatePEM(leaf), f.ca.CertificatePEM()...))
		}, "certificate signer-cert.pem"},
		{"CA as the signer", func(t *testing.T, f *folder) {
			f.write("signer-cert.pem", append(f.ca.CertificatePEM(), f.ca.CertificatePEM()...))
		}, "certificate signer-cert.pem"},
		{"all swapped under a CA of the forger", func(t *testing.T, f *folder) {
			g := newEnrolledFolder(t)
			for _, n := range []string{"manifest.json", "manifest.json.sig", "signer.pem", "signer-cert.pem", "receipt.json", processName, clockName} {
				f.write(n, g.read(n))
			}
		}, "anchor signer-cert.pem"},
		{"receipt of another acquisition", func(t *testing.T, f *folder) {
			f.receipt(func(r *custody.Receipt) { r.AcquisitionID = id.New(id.Acquisition) })
		}, "receipt receipt.json"},
		{"receipt of another endpoint", func(t *testing.T, f *folder) {
			f.receipt(func(r *custody.Receipt) { r.EndpointID = id.New(id.Endpoint) })
		}, "receipt receipt.json"},
		{"receipt of another manifest", func(t *testing.T, f *folder) {
			f.receipt(func(r *custody.Receipt) { r.ManifestSHA256 = digest.Of(nil).String() })
		}, "receipt receipt.json"},
		{"receipt of other bytes", func(t *testing.T, f *folder) {
			f.receipt(func(r *custody.Receipt) { r.Evidence[0].StoredSHA256 = digest.Of(nil).String() })
		}, "receipt receipt.json"},
		{"receipt of fewer artifacts", func(t *testing.T, f *folder) {
			f.receipt(func(r *custody.Receipt) { r.Evidence = r.Evidence[:1] })
		}, "receipt receipt.json"},
		{"receipt of another CA", func(t *testing.T, f *folder) {
			f.receipt(func(r *custody.Receipt) { r.Collector.CASHA256 = digest.Of(nil).String() })
		}, "receipt receipt.json"},
		{"receipt that came before the certificate ended", func(t *testing.T, f *folder) {
			f.receipt(func(r *custody.Receipt) { r.ReceivedAt = r.ReceivedAt.AddDate(50, 0, 0) })
		}, "receipt receipt.json"},
		{"receipt signed by an endpoint", func(t *testing.T, f *folder) {
			s, err := custody.DecodeFile(f.read("receipt.json"))
			must(t, err)
			s.Certificate = f.leaf
			s.Signature, err = pki.Sign(f.key, s.Payload)
			must(t, err)
			b, err := custody.EncodeFile(s)
			must(t, err)
			f.write("receipt.json", b)
		}, "receipt receipt.json"},
		{"receipt with a changed payload", func(t *testing.T, f *folder) {
			s, err := custody.DecodeFile(f.read("receipt.json"))
			must(t, err)
			s.Payload = bytes.Replace(s.Payload, []byte("INC-2026-0001"), []byte("INC-2026-0002"), 1)
			b, err := custody.EncodeFile(s)
			must(t, err)
			f.write("receipt.json", b)
		}, "receipt receipt.json"},
		{"receipt cut off", func(t *testing.T, f *folder) { must(t, os.Truncate(f.path("receipt.json"), 50)) }, "receipt receipt.json"},
		{"receipt with a name twice", func(t *testing.T, f *folder) {
			f.write("receipt.json", bytes.Replace(f.read("receipt.json"), []byte(`"format"`), []byte(`"format": "x", "format"`), 1))
		}, "receipt receipt.json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newEnrolledFolder(t)
			c.do(t, f)
			r := check(t, f.dir, verify.Anchor{CASHA256: f.ca.Fingerprint()})
			if r.Verdict != verify.NotVerified || !slices.ContainsFunc(r.Problems, func(p verify.Problem) bool { return p.Code+" "+p.File == c.want }) {
				t.Errorf("%s with %s; want %s", r.Verdict, codes(r), c.want)
			}
		})
	}
}

// TestEveryByte flips a bit of every byte of the small files and of every seventh byte
// of the others, which is every kind of place in them: none may go unseen.
func TestEveryByte(t *testing.T) {
	f := newEnrolledFolder(t)
	for _, name := range []string{"manifest.json", "manifest.json.sig", "signer.pem", "signer-cert.pem", "receipt.json", processName, clockName} {
		whole := f.read(name)
		step := 1
		if len(whole) > 500 {
			step = 7
		}
		for i := 0; i < len(whole); i += step {
			b := bytes.Clone(whole)
			b[i] ^= 0x01
			f.write(name, b)
			if r := check(t, f.dir, verify.Anchor{CASHA256: f.ca.Fingerprint()}); r.Verdict == verify.Verified {
				t.Errorf("%s: byte %d (%q) changed and nobody saw it", name, i, whole[max(0, i-10):min(len(whole), i+10)])
			}
		}
		f.write(name, whole)
	}
}

// TestOneFormOfPEM writes the same keys and certificates in other forms, which say the
// same to a lenient reader: a file with several forms can be changed unseen.
func TestOneFormOfPEM(t *testing.T) {
	forms := map[string]func(b []byte) []byte{
		"unused bits before the padding": func(b []byte) []byte {
			i := bytes.IndexByte(b, '=') - 1
			if i < 0 {
				return append(b, '\n') // a length without padding has no such bits
			}
			const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
			b[i] = alphabet[strings.IndexByte(alphabet, b[i])^1]
			return b
		},
		"empty line at the end":   func(b []byte) []byte { return append(b, '\n') },
		"no line end at the end":  func(b []byte) []byte { return b[:len(b)-1] },
		"text before":             func(b []byte) []byte { return append([]byte("x\n"), b...) },
		"lines that end in CR LF": func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")) },
	}
	for _, name := range []string{"signer.pem", "signer-cert.pem"} {
		for form, change := range forms {
			f := newEnrolledFolder(t)
			f.write(name, change(f.read(name)))
			if r := check(t, f.dir, verify.Anchor{CASHA256: f.ca.Fingerprint()}); r.Verdict == verify.Verified {
				t.Errorf("%s with %s: verified", name, form)
			}
		}
	}
}

func TestUncompressedArtifact(t *testing.T) {
	f := newFolder(t)
	f.addStored("process", []byte(processText), []byte(processText), 2)
	f.manifest.Artifacts[len(f.manifest.Artifacts)-1].Compression = "none"
	f.sign(true)
	if r := check(t, f.dir, verify.Anchor{KeySHA256: f.keySHA256()}); r.Verdict != verify.Verified {
		t.Errorf("%+v", r.Problems)
	}
}

func TestLongLine(t *testing.T) {
	f := newFolder(t)
	plain(t, f, "{\"a\":\""+strings.Repeat("x", 1<<20)+"\"}\n{}\n")
	if r := check(t, f.dir, verify.Anchor{KeySHA256: f.keySHA256()}); r.Verdict != verify.Verified {
		t.Errorf("%+v", r.Problems)
	}
}

// TestStockTools: openssl says the same of the signature.
func TestStockTools(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	f := newFolder(t)
	run := func() (string, error) {
		c := exec.Command(openssl, "dgst", "-sha256", "-verify", "signer.pem", "-signature", "manifest.json.sig", "manifest.json")
		c.Dir = f.dir
		out, err := c.CombinedOutput()
		return string(out), err
	}
	if out, err := run(); err != nil || !strings.Contains(out, "Verified OK") {
		t.Errorf("%s: %v", out, err)
	}
	flip(f, "manifest.json", 5)
	if out, err := run(); err == nil {
		t.Errorf("openssl verified a changed manifest: %s", out)
	}
}

// TestStockToolsCheckTheCertificate runs the command of the format's description.
func TestStockToolsCheckTheCertificate(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	f := newEnrolledFolder(t)
	f.write("ca.pem", f.ca.CertificatePEM())
	run := func() (string, error) {
		c := exec.Command(openssl, "verify", "-partial_chain", "-no_check_time", "-trusted", "ca.pem", "signer-cert.pem")
		c.Dir = f.dir
		out, err := c.CombinedOutput()
		return string(out), err
	}
	if out, err := run(); err != nil {
		t.Errorf("%s: %v", out, err)
	}
	other, err := pki.NewCA("other", f.manifest.StartedAt.Wall)
	must(t, err)
	f.write("ca.pem", other.CertificatePEM())
	if out, err := run(); err == nil {
		t.Errorf("another CA: %s", out)
	}
}

func TestNothingAcquiredIsConsistentToo(t *testing.T) {
	f := newFolder(t)
	f.manifest.Artifacts, f.manifest.Probes, f.manifest.Outcome = []artifact.Entry{}, f.manifest.Probes[1:2], artifact.Failed
	must(t, os.RemoveAll(f.path("artifacts")))
	f.sign(true)
	if r := check(t, f.dir, verify.Anchor{}); r.Verdict != verify.Consistent {
		t.Errorf("%+v", r.Problems)
	}
}

func TestOutcomesAgreeWithTheModel(t *testing.T) {
	for _, o := range verify.Outcomes() {
		if !artifact.Outcome(o).Valid() {
			t.Errorf("%q is none", o)
		}
	}
	if n := len(verify.Outcomes()); n != 9 {
		t.Error(fmt.Sprint(n, " outcomes"))
	}
}

func TestEveryTriggerIsKnown(t *testing.T) {
	for _, trigger := range []artifact.Trigger{artifact.TriggerCommand, artifact.TriggerIsolation, artifact.TriggerAlert, artifact.TriggerManual,
		artifact.TriggerShutdown, artifact.TriggerSuspend, artifact.TriggerBoot, artifact.TriggerPreserve, artifact.TriggerProof} {
		f := newFolder(t)
		f.manifest.Trigger = trigger
		f.sign(true)
		if r := check(t, f.dir, verify.Anchor{}); r.Verdict != verify.Consistent {
			t.Errorf("%s: %s %+v", trigger, r.Verdict, r.Problems)
		}
	}
}

// Large artifacts are hashed beside their reading; whatever is wrong with them is told as of
// small ones.
func TestLargeArtifact(t *testing.T) {
	text := bytes.Repeat([]byte("{\"n\":1,\"text\":\"0123456789abcdef\"}\n"), 300_000)
	packed := compress(t, text)
	size := int64(len(text))
	for name, c := range map[string]struct {
		stored []byte
		limit  int64
		size   int64
		wrong  bool
	}{
		"right":           {packed, size, size, false},
		"cut off":         {packed[:len(packed)/2], size, -1, true},
		"longer":          {packed, size - 1, -1, true},
		"shorter":         {packed, size + 1<<20, size, false}, // told by its size
		"something after": {append(slices.Clone(packed), "evil"...), size, -1, true},
		"no lines":        {compress(t, text[:len(text)-1]), size - 1, size - 1, true},
	} {
		n, err := verify.ReadArtifact(t.Context(), c.stored, true, c.limit)
		if c.wrong != (err != nil) || c.size >= 0 && n != c.size {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
	}
}
