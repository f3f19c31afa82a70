package main

import (
	"strings"
	"testing"
)

// TestWhichProcess: what is wrong with the process that somebody names is said in the
// language of the command.
func TestWhichProcess(t *testing.T) {
	for lang, says := range map[string][2]string{
		"ja": {"プロセスの番号が必要です", "一緒に使います"},
		"en": {"needs --pid NUMBER", "go with --profile process"},
	} {
		for args, want := range map[string]string{
			"--profile process":                                 says[0],
			"--profile process --pid 0":                         says[0],
			"--profile process --pid 4294967296":                says[0],
			"--pid 7":                                           says[1],
			"--profile flash --start-ticks 7":                   says[1],
			"--profile process --pid 4294967295":                "",
			"--profile process --pid 7 --start-ticks 123456789": "",
		} {
			_, o, err := parseAcquire(append(strings.Fields(args), "--out", "x", "--lang", lang), func(string) string { return "" })
			switch {
			case want == "" && (err != nil || !strings.HasPrefix(o.profile, "process.")):
				t.Errorf("%s: %q, %v", args, o.profile, err)
			case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
				t.Errorf("%s in %s: %v", args, lang, err)
			}
		}
	}
}
