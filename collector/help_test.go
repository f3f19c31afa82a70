package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hozen/internal/i18n"
	"hozen/internal/profile"
)

// helpTexts are all texts that the help shows, in English.
func helpTexts(root *cobra.Command) []string {
	texts := []string{"Usage", "Commands", "Options", "Options of every command", "Exit codes", "Each command has --help.", " (default: ", ")", "string", "int", "duration", "stringArray"}
	for _, r := range codes() {
		texts = append(texts, r.text)
	}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Name() != "help" { // its own long text is cobra's, and shown by nothing
			texts = append(texts, cmd.Long)
		}
		texts = append(texts, cmd.Short)
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" {
				texts = append(texts, f.Usage)
			}
		})
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(root)
	slices.Sort(texts)
	return slices.DeleteFunc(slices.Compact(texts), func(s string) bool { return s == "" })
}

func TestHelpNamesEveryProfile(t *testing.T) {
	for _, p := range profile.All() {
		if !strings.Contains(acquireWhat, p.Name) || !strings.Contains(acquireWhat, "at most "+strings.Replace(p.AtMost().String(), "m0s", "m", 1)) {
			t.Errorf("%q does not say %s, at most %s", acquireWhat, p.Name, p.AtMost())
		}
	}
}

func TestHelpIsThereInJapanese(t *testing.T) {
	c, _, _ := testCLI(t, i18n.Japanese)
	texts, err := helpJapanese()
	if err != nil {
		t.Fatal(err)
	}
	want := helpTexts(c.root())
	for _, s := range want {
		if texts[s] == "" {
			t.Errorf("no Japanese of %q", s)
		}
	}
	for s := range texts {
		if !slices.Contains(want, s) {
			t.Errorf("Japanese of %q, which no help says", s)
		}
	}
}
