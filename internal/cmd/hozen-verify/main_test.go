package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"hozen/internal/artifact"
	"hozen/internal/i18n"
	"hozen/internal/i18n/i18ntest"
	"hozen/internal/verify"
)

func texts(t *testing.T) i18n.Catalogue {
	t.Helper()
	sub, err := fs.Sub(translations, "translations")
	if err != nil {
		t.Fatal(err)
	}
	return i18ntest.Parity(t, sub)
}

func TestEverythingHasAText(t *testing.T) {
	p := texts(t).Printer(i18n.Japanese)
	for _, c := range verify.Codes() {
		if !p.Has("problem." + c) {
			t.Errorf("no text for problem %s", c)
		}
	}
	for _, v := range []verify.Verdict{verify.Verified, verify.Consistent, verify.NotVerified} {
		if !p.Has("verdict." + string(v)) {
			t.Errorf("no text for verdict %s", v)
		}
	}
	for _, o := range []artifact.Outcome{artifact.Complete, artifact.Partial, artifact.Empty, artifact.Unsupported, artifact.Denied, artifact.TimedOut, artifact.Interrupted, artifact.Failed, artifact.NotStarted} {
		if !p.Has("outcome." + string(o)) {
			t.Errorf("no text for outcome %s", o)
		}
	}
	for _, a := range []string{"none", "ca", "key", "receipt_code"} {
		if !p.Has("anchor." + a) {
			t.Errorf("no text for anchor %s", a)
		}
	}
}

// hostile is a report whose every text tries to take over the terminal.
func hostile() verify.Report {
	const evil = "\x1b]0;owned\x07\u202e\n\rverdict: verified"
	return verify.Report{
		Verdict: verify.NotVerified, AcquisitionID: evil, EndpointID: evil, Hostname: evil, StartedAt: time.Unix(0, 0), Outcome: "partial", Tool: evil, CASHA256: "ca",
		Artifacts: []verify.Artifact{{Name: evil, Kind: evil}},
		Probes:    []verify.Probe{{Kind: evil, Outcome: "failed", Detail: evil}},
		Receipt:   &verify.Receipt{IncidentNumber: evil, Collector: evil},
		Problems:  []verify.Problem{{Code: "extra", File: evil, Detail: evil}},
	}
}

func TestHostileTextsAreInert(t *testing.T) {
	for _, l := range i18n.Languages() {
		var b bytes.Buffer
		if err := printReport(&b, texts(t).Printer(l), "/tmp/\x1b[2J", hostile()); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(b.String(), "\x1b\x07\r\u202e") || strings.Contains(b.String(), "\nverdict: verified") {
			t.Errorf("%s: %q", l, b.String())
		}
		if strings.Contains(b.String(), "⟦") || strings.Contains(b.String(), "{") {
			t.Errorf("%s: a text is missing: %s", l, b.String())
		}
	}
}

func TestFlagsAfterTheFolder(t *testing.T) {
	dir := t.TempDir()
	var out, errs bytes.Buffer
	code := run([]string{dir, "--json"}, func(string) string { return "" }, &out, &errs)
	var r struct {
		Format  string `json:"format"`
		Exit    int    `json:"exit_code"`
		Verdict string `json:"verdict"`
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || code != exitNotVerified || r.Exit != code || r.Verdict != "not_verified" || r.Format != "hozen-verification/1" {
		t.Errorf("exit %d, %+v, %v, %s", code, r, err, errs.String())
	}
}

func TestStockCommandsForBothSystems(t *testing.T) {
	for _, goos := range []string{"linux", "windows"} {
		if s := stock(goos); !strings.HasPrefix(s[0], "openssl dgst -sha256 -verify signer.pem") {
			t.Errorf("%s: %q", goos, s)
		}
	}
}

func TestLanguageFollowsTheLocale(t *testing.T) {
	for locale, want := range map[string]string{"ja_JP.UTF-8": "使い方", "en_US.UTF-8": "usage:", "": "使い方"} {
		var out bytes.Buffer
		getenv := func(name string) string {
			if name == "LANG" {
				return locale
			}
			return ""
		}
		if run([]string{"--help"}, getenv, &out, os.Stderr) != exitVerified || !strings.Contains(out.String(), want) {
			t.Errorf("%q: %s", locale, out.String())
		}
	}
}
