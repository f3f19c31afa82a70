package console

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"hozen/collector/internal/act"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/phone"
)

// TestBrowserShowsACodeThatIsRead reads the QR code of a link from the screen, in the light and in
// the dark scheme, with another program than ours: it is the address that stands beside it.
func TestBrowserShowsACodeThatIsRead(t *testing.T) {
	scan, err := exec.LookPath("zbarimg")
	if err != nil {
		t.Skip("no zbarimg (apt-get install zbar-tools)")
	}
	chromium(t)
	for name, dark := range map[string]bool{"light": false, "dark": true} {
		t.Run(name, func(t *testing.T) {
			x := newSite(t)
			must(t, x.SetPeopleSettings(t.Context(), x.owner, organisation.People{ConsoleURL: "https://hozen.example:8443"}))
			l, err := x.MakeLink(t.Context(), x.owner, act.NewLink{Kind: phone.Reports, Note: "受付", Life: phone.Reports.Lives()[0]})
			must(t, err)
			shown, err := x.ShowLink(t.Context(), x.owner, l.ID)
			must(t, err)
			b := x.tab(dark)
			b.signIn("owner")
			b.open("/links/" + l.ID)
			png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
			must(t, err)
			picture := filepath.Join(t.TempDir(), "page.png")
			must(t, os.WriteFile(picture, png, 0o600))
			out, err := exec.CommandContext(t.Context(), scan, "--quiet", "--raw", picture).Output()
			must(t, err)
			want := "https://hozen.example:8443/r/" + shown.Token
			if got := strings.TrimSpace(string(out)); got != want {
				t.Errorf("the code says %q, want %q", got, want)
			}
			if !strings.Contains(x.as("owner", "ja").get("/links/"+l.ID).body, "<code>"+want+"</code>") {
				t.Error("what the code says does not stand beside it")
			}
			b.calm()
		})
	}
}
