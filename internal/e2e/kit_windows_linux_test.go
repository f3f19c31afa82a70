package e2e

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// kit shows that the program of a USB kit acquires on a Windows PC on which nothing is installed: it
// writes into the kit's folder alone, shows the code for the paper, and a collector of another
// system takes in what it wrote.
func (p *windowsPC) kit() {
	t := p.t
	t.Helper()
	cli := func(out any, args ...string) {
		t.Helper()
		r, err := p.collector.CLI(p.ctx, append([]string{"--json", "--break-glass", "USB kit"}, args...)...)
		must(t, err)
		if r.Code != 0 {
			t.Fatalf("%q: exit code %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
		}
		if out != nil {
			must(t, json.Unmarshal([]byte(r.Stdout), out))
		}
	}
	var incident struct {
		Number string `json:"number"`
	}
	cli(&incident, "incident", "open", "脅迫文")
	stick := filepath.Join(p.wine.Dir(), "stick")
	cli(nil, "kit", "build", stick, "--incident", incident.Number, "--agents", p.wine.Dir())

	before, beside := p.onDriveC(), outside(t, stick)
	out, code := p.try(filepath.Join(stick, "hozen-agent.exe"), "acquire", "--kit", "--json", "--place", "本社3階", "--reason", "脅迫文", "--by", "田中", "--witness", "鈴木",
		"--reference-time", "14:05:00", "--reference-source", "117", "--yes")
	if code != 0 && code != 3 { // Wine does not have everything that Windows has
		t.Fatalf("acquire --kit: exit code %d\n%s", code, out)
	}
	var got kitAcquired
	from := strings.Index(out, "{")
	must(t, json.Unmarshal([]byte(out[max(0, from):strings.LastIndex(out, "}")+1]), &got))
	if len(strings.ReplaceAll(got.Code, "-", "")) != 12 {
		t.Errorf("receipt code %q", got.Code)
	}
	if more := slices.DeleteFunc(p.onDriveC(), func(path string) bool { return slices.Contains(before, path) }); len(more) > 0 {
		t.Errorf("it wrote beside the kit: %q", more)
	}
	if after := outside(t, stick); after != beside {
		t.Errorf("it wrote beside the results: %s, before %s", after, beside)
	}

	var x imported
	cli(&x, "import", stick, "--receipt-code", got.Code)
	if len(x.Problems) > 0 || !x.Ours || len(x.Results) != 1 || x.Results[0].State != "imported" || !x.Results[0].CodeCompared || x.Results[0].Incident != incident.Number || x.Results[0].Items < 5 {
		t.Errorf("%+v", x)
	}
	zip := filepath.Join(p.dir, "kit.zip")
	cli(nil, "incident", "export", incident.Number, "--out", zip, "--to", "サンプル県警", "--purpose", "被害届")
	said, errOut, code := command(t, programs(t).Verify, "--lang", "en", "--ca-fingerprint", p.collector.CASHA256, zip)
	if code != verifyVerified || !strings.Contains(said, "signed by a one-time key") {
		t.Errorf("hozen-verify: exit code %d\n%s%s", code, said, errOut)
	}
}

// onDriveC names the files and folders of drive C, but for what Windows itself keeps there.
func (p *windowsPC) onDriveC() (paths []string) {
	p.t.Helper()
	must(p.t, filepath.WalkDir(p.file(""), func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) { // gone since
			return nil
		}
		if d != nil && d.IsDir() && strings.EqualFold(d.Name(), "windows") {
			return fs.SkipDir
		}
		paths = append(paths, path)
		return err
	}))
	return paths
}
