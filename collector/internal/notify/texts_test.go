package notify_test

import (
	"os"
	"testing"

	"hozen/collector/internal/notify"
	"hozen/internal/i18n/i18ntest"
)

func TestTexts(t *testing.T) {
	c, err := notify.Texts()
	if err != nil {
		t.Fatal(err)
	}
	i18ntest.Parity(t, os.DirFS("texts"))
	for _, k := range append(notify.Kinds(), notify.Test) {
		for _, l := range []string{".subject", ".text"} {
			if p := c.Printer("ja"); !p.Has("event." + string(k) + l) {
				t.Errorf("%s%s has no words", k, l)
			}
		}
	}
}
