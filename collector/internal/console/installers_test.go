package console

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestInstallers: what lies in the folder can be downloaded by whoever may add endpoints, and
// the commands name it; nothing else of the folder is shown or given.
func TestInstallers(t *testing.T) {
	x := newOffice(t, 1)
	ja, en := x.as("owner", "ja"), x.as("owner", "en")
	ja.get("/endpoints/add").want(t, 200, "インストーラー", "データフォルダーの packages")
	dir := filepath.Join(x.dir, "packages")
	must(t, os.MkdirAll(filepath.Join(dir, "hozen-agent_9_ja.msi"), 0o700))
	for name, text := range map[string]string{
		"hozen-agent_0.1.0_ja.msi": "ja", "hozen-agent_0.1.0_en.msi": "en", "hozen-agent_0.1.0_amd64.deb": "deb",
		"hozen-agent-0.1.0-1.x86_64.rpm": "rpm", "hozen-agent_0.1.0_arm64.deb": "deb", "hozen-agent-0.1.0-1.aarch64.rpm": "rpm", "secret.txt": "no", "hozen-agent_<b>.msi": "no", "hozen-collector.exe": "no",
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	// Made last, as "make packages" does; office PCs are others.
	later := time.Now().Add(time.Minute)
	for _, name := range []string{"hozen-agent_0.1.0_arm64.deb", "hozen-agent-0.1.0-1.aarch64.rpm"} {
		must(t, os.Chtimes(filepath.Join(dir, name), later, later))
	}
	if err := os.Symlink(filepath.Join(dir, "secret.txt"), filepath.Join(dir, "hozen-agent_link.msi")); err != nil {
		t.Fatal(err)
	}
	page := ja.get("/endpoints/add").want(t, 200, "/packages/hozen-agent_0.1.0_ja.msi", "/packages/hozen-agent_0.1.0_en.msi", "hozen-agent_0.1.0_amd64.deb", "hozen-agent-0.1.0-1.x86_64.rpm")
	for _, no := range []string{"secret.txt", "hozen-collector.exe", "_link.msi", "agent_<b>", "&lt;b&gt;", "_9_ja"} {
		if strings.Contains(page.body, no) {
			t.Errorf("the page shows %s", no)
		}
	}
	if r := ja.get("/packages/hozen-agent_0.1.0_ja.msi").want(t, 200); r.body != "ja" || !strings.Contains(r.header.Get("Content-Disposition"), "hozen-agent_0.1.0_ja.msi") {
		t.Errorf("%q, %v", r.body, r.header)
	}
	for _, no := range []string{"secret.txt", "hozen-agent_link.msi", "hozen-agent_9_ja.msi", "hozen-agent_none.msi", "..%2fcollector.toml", "hozen-collector.exe"} {
		ja.get("/packages/"+no).want(t, http.StatusNotFound)
	}
	x.as("view", "ja").get("/packages/hozen-agent_0.1.0_ja.msi").want(t, http.StatusForbidden)

	for _, c := range []struct {
		b    *browser
		file string
	}{{ja, "hozen-agent_0.1.0_ja.msi"}, {en, "hozen-agent_0.1.0_en.msi"}} {
		r := c.b.post("/endpoints/add", url.Values{"hours": {"1"}, "uses": {"1"}})
		c.b.get(r.header.Get("Location")).want(t, 200, `\Downloads\`+c.file+`" /passive ENROLLTOKEN=hzt1.`, "apt install ./hozen-agent_0.1.0_amd64.deb ", "dnf install ./hozen-agent-0.1.0-1.x86_64.rpm ")
	}
}
