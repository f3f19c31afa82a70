package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"hozen/internal/i18n"
	"hozen/internal/i18n/i18ntest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"hozen-collector": main,
		"await":           await,
	})
}

// await runs `hozen-collector ARGS` until it succeeds, for at most half a minute: the
// collector of a script starts in the background.
func await() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	deadline := time.NewTimer(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	for {
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			os.Exit(1)
		}
		code := run(ctx, os.Args[1:], os.Getenv, stdio{null, null, null})
		null.Close()
		if code == exitOK {
			os.Exit(run(ctx, os.Args[1:], os.Getenv, stdio{os.Stdin, os.Stdout, os.Stderr}))
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			os.Exit(code)
		}
	}
}

func TestScripts(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("scripts end servers by signals, which Windows has none of; its service is tested with the whole system")
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("LANG", "en_US.UTF-8")
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("HOSTILE", "\u009b31mred\u202egpj.exe") // ESC itself is refused on the way in
			e.Setenv("XDG_STATE_HOME", e.WorkDir+"/state")
			e.Setenv(envData, e.WorkDir+"/data")
			return nil
		},
	})
}

func TestTextsAreThereInBothLanguages(t *testing.T) {
	texts, err := catalogue()
	if err != nil {
		t.Fatal(err)
	}
	sub, err := fs.Sub(translations, "translations")
	if err != nil {
		t.Fatal(err)
	}
	i18ntest.Parity(t, sub)
	p := texts.Printer(i18n.English)
	for _, code := range codes() {
		if code.code == exitOK {
			continue
		}
		if key := hintOf(code.code, errors.New("x")); key != "" && !p.Has(key) {
			t.Errorf("no text %q", key)
		}
		if key := "error." + itoa(code.code); !p.Has(key) {
			t.Errorf("no text %q", key)
		}
	}
}
