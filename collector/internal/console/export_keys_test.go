package console

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"hozen/internal/envelope/unseal"
)

func TestPackageIsEncryptedToThePublicKeysOfTheForm(t *testing.T) {
	x := newOffice(t, 20)
	b := x.as("owner", "ja")
	page := "/incidents/" + x.incidentID + "/export"
	b.get(page).want(t, 200, "受取人の公開鍵", "手に入れた人は誰でも中身を読めます", "age -d -i key.txt")
	x.as("owner", "en").get(page).want(t, 200, "Public keys of the recipients", "whoever gets the package can read it", "age -d -i key.txt")
	one, err := unseal.New()
	must(t, err)
	two, err := unseal.New()
	must(t, err)
	keys := one.Recipient().String() + "\r\n\r\n  " + two.Recipient().String() + "\r\n"
	to := b.post(page, url.Values{"recipient": {"県警"}, "purpose": {"被害届"}, "recipient_key": {keys}}).want(t, 303).header.Get("Location")
	if strings.Contains(to, "age1") {
		t.Errorf("the address has a key: %s", to)
	}
	r := b.get(to).want(t, 200, one.Recipient().String()+"\n"+two.Recipient().String())
	path := regexp.MustCompile(`/exports/exp_[0-9a-z]+/download`).FindString(r.body)
	var sum string
	sealed := func(r reply, id unseal.Identity) {
		t.Helper()
		if d := r.header.Get("Content-Disposition"); !strings.HasSuffix(d, `-P01.zip.age"`) || r.header.Get("Content-Type") != "application/octet-stream" {
			t.Errorf("headers: %v", r.header)
		}
		clear, err := unseal.Open(strings.NewReader(r.body), id)
		must(t, err)
		zip, err := io.ReadAll(clear)
		must(t, err)
		s := sha256.Sum256(zip)
		if sum == "" {
			sum = hex.EncodeToString(s[:])
		} else if sum != hex.EncodeToString(s[:]) {
			t.Error("another zip")
		}
	}
	first := b.post(path, url.Values{"recipient_key": {keys}}).want(t, 200)
	sealed(first, one)
	sealed(first, two)
	b.get(page).want(t, 200, sum, "もう一度ダウンロード", one.Recipient().String())
	sealed(b.get(path).want(t, 200), two) // without a form: to whom it was ordered for

	// Again, to one of them, then to nobody: what counts is the field.
	only := b.post(path, url.Values{"recipient_key": {two.Recipient().String()}}).want(t, 200)
	sealed(only, two)
	if _, err := unseal.Open(strings.NewReader(only.body), one); err == nil {
		t.Error("it opens for one who was not named")
	}
	clear := b.post(path, url.Values{}).want(t, 200)
	if d := clear.header.Get("Content-Disposition"); !strings.HasSuffix(d, `-P01.zip"`) || !strings.HasPrefix(clear.body, "PK") {
		t.Errorf("headers: %v", clear.header)
	}
	if r := b.get(page).want(t, 200); strings.Contains(r.body, "age1q") {
		t.Error("the keys are kept after they were taken out")
	}
	if n := len(x.acts("export.encrypted")); n != 3 {
		t.Errorf("%d entries", n)
	}
	x.person("reader", "閲覧のみ", "viewer")
	x.as("reader", "ja").post(path, url.Values{"recipient_key": {keys}}).want(t, 403)
}

func TestSecretKeysOfTheFormAreNeitherShownNorKept(t *testing.T) {
	x := newOffice(t, 20)
	b := x.as("owner", "ja")
	page := "/incidents/" + x.incidentID + "/export"
	id, err := unseal.New()
	must(t, err)
	good, secret := id.Recipient().String(), id.Text()
	to := b.post(page, url.Values{"recipient": {"県警"}, "purpose": {"被害届"}}).want(t, 303).header.Get("Location")
	path := regexp.MustCompile(`/exports/exp_[0-9a-z]+/download`).FindString(b.get(to).body)
	orders := len(x.acts("export.order"))
	tail := secret[len("AGE-SECRET-KEY-"):]
	for name, c := range map[string]struct{ keys, says string }{
		"secret":        {secret, "秘密鍵です。"},
		"in capitals":   {strings.ToLower(secret), "秘密鍵です。"},
		"all of a file": {"# created: 2026\n# public key: " + good + "\n" + secret, "秘密鍵です。"},
		"cut off":       {good[:30], "公開鍵ではない行があります。"},
		"tail alone":    {tail, "公開鍵ではない行があります。"},
		"another":       {"ssh-ed25519 " + tail, "別の種類の鍵です。"},
		"control":       {good + "\n" + tail + "\x01", "使えない文字"},
		"too long":      {strings.Repeat(tail+"\n", 1+maxKeyText/len(tail)), "長すぎます"},
		"too many":      {strings.Repeat(good+"\n", 17), "多すぎます"},
	} {
		for where, send := range map[string]func() reply{
			"order": func() reply {
				return b.post(page, url.Values{"recipient": {"県警"}, "purpose": {"被害届"}, "recipient_key": {c.keys}})
			},
			"download": func() reply { return b.post(path, url.Values{"recipient_key": {c.keys}}) },
		} {
			r := send().want(t, 422, c.says)
			if strings.Contains(strings.ToUpper(r.body), tail) || strings.Contains(r.body, good[:30]) && !strings.Contains(r.body, good) {
				t.Errorf("%s, %s: what was refused is shown again", name, where)
			}
			if strings.Contains(strings.ToUpper(b.get(page).body), tail) {
				t.Errorf("%s, %s: what was refused is kept", name, where)
			}
		}
	}
	if n := len(x.acts("export.order")); n != orders {
		t.Errorf("%d packages were ordered", n-orders)
	}
	if n := len(x.acts("export.written")); n != 0 {
		t.Errorf("%d packages were written", n)
	}
	if strings.Contains(strings.ToUpper(x.log.String()), tail) {
		t.Error("the log has the secret key")
	}
}
