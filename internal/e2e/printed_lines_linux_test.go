package e2e

import (
	"context"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/internal/e2e/machine"
	"hozen/internal/e2e/rig"
)

// TestPrintedLinesInstall runs the lines that the page "Add an endpoint" prints for Linux, as they
// are, and the endpoint is there: with a package for Debian, with one for rpm, and
// without packages where the program was copied by hand. Debian's archive has no dnf that knows what
// Debian installed, so a stand-in has rpm install the file that the line names.
func TestPrintedLinesInstall(t *testing.T) {
	need(t, "make")
	ctx := within(t, 8*time.Minute)
	r := machine.Bookworm()
	r.Packages = append(slices.Clone(r.Packages), "rpm", "sudo")
	s := newSite(t, ctx, siteOptions{recipe: r, noAgent: true})
	made := packages(t, "0.9.1")
	deb, rpm := packageFile(t, made, "*_amd64.deb"), packageFile(t, made, "*.x86_64.rpm")
	const downloads = "/home/alice"
	for _, file := range []string{deb, rpm} {
		must(t, s.base.Copy(filepath.Join(downloads, filepath.Base(file)), file))
	}
	must(t, s.base.Write("/usr/local/bin/dnf", "#!/bin/sh\n[ \"$1\" = install ] && exec rpm -i --nodeps \"$2\"\n", 0o755))
	must(t, s.base.Write("/etc/sudoers.d/alice", "alice ALL=(ALL) NOPASSWD: ALL\n", 0o440))
	c := s.console(t, ctx)

	// pasted has alice paste the lines of the page that are for her PC.
	pasted := func(notFor string, prepare ...string) {
		t.Helper()
		p := s.newPC(t, ctx, "")
		if len(prepare) > 0 {
			_, err := p.m.Run(ctx, prepare...)
			must(t, err)
		}
		var lines []string
		for line := range strings.Lines(c.linesForLinux(t, ctx)) {
			if notFor == "" || !strings.Contains(line, notFor) {
				lines = append(lines, line)
			}
		}
		script := "set -e; cd " + downloads + "\n" + strings.Join(lines, "")
		if out, err := p.m.Run(ctx, "su", "alice", "-s", "/bin/bash", "-c", script); err != nil {
			t.Fatalf("%v\n%s\n%s", err, script, out)
		}
		p.awaitOnline(t, ctx)
		must(t, p.m.Trigger(ctx, machine.Poweroff))
		_, err := p.m.WaitDown(ctx)
		must(t, err)
		must(t, p.m.Close())
		p.m = nil
	}
	pasted("", "sh", "-c", "dpkg --fsys-tarfile "+downloads+"/*.deb | tar -xO ./usr/bin/hozen-agent >/usr/bin/hozen-agent && chmod 755 /usr/bin/hozen-agent")
	folder := filepath.Join(s.collector.Dir, "packages")
	must(t, os.MkdirAll(folder, 0o700))
	for _, file := range []string{deb, rpm} {
		b, err := os.ReadFile(file)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(folder, filepath.Base(file)), b, 0o600))
	}
	pasted("# RHEL")
	pasted("# Debian", "rpm", "--initdb")
}

// console is somebody signed in at a collector's console, without a browser.
type console struct {
	http *http.Client
	base string
}

// console signs the owner in.
func (s *system) console(t *testing.T, ctx context.Context) *console {
	t.Helper()
	_, err := s.collector.SignIn(ctx) // sets the password
	must(t, err)
	jar, err := cookiejar.New(nil)
	must(t, err)
	c := &console{&http.Client{Jar: jar}, "http://" + s.collector.Console}
	c.post(t, ctx, "/sign-in", url.Values{"name": {rig.Owner}, "password": {rig.Password}})
	return c
}

// post sends a form and returns the page to which that leads.
func (c *console) post(t *testing.T, ctx context.Context, path string, fields url.Values) string {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, strings.NewReader(fields.Encode()))
	must(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.http.Do(r)
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s\n%.300s", path, resp.Status, b)
	}
	return string(b)
}

var linesForLinux = regexp.MustCompile(`(?s)<pre id="cmd-linux"><code>(.*?)</code></pre>`)

// linesForLinux has a token made that is good for one endpoint and needs no approval, and
// returns what the page prints for Linux, as it would be copied.
func (c *console) linesForLinux(t *testing.T, ctx context.Context) string {
	t.Helper()
	page := c.post(t, ctx, "/endpoints/add", url.Values{"hours": {"1"}, "uses": {"1"}, "auto": {"1"}})
	found := linesForLinux.FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("the page prints nothing for Linux\n%s", page)
	}
	return html.UnescapeString(found[1])
}
