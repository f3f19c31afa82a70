package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A folder that others may write, or that is another account's, stops the agent with a word
// before anything is read from it.
func TestStateOfOthersStopsTheAgent(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	for _, c := range []struct {
		name, want string
		change     func(state string) error
	}{
		{"whole", "", func(string) error { return nil }},
		{"anybody may write", `mode 0777 lets others write it`, func(s string) error { return os.Chmod(s, 0o777) }},
		{"group may write", `mode 0770 lets others write it`, func(s string) error { return os.Chmod(s, 0o770) }},
		{"another account's", `belongs to uid 65534`, func(s string) error { return os.Chown(s, 65534, 65534) }},
		{"spool", `spool": mode 0777 lets others write it`, func(s string) error { return os.Chmod(filepath.Join(s, "spool"), 0o777|os.ModeSticky) }},
		{"spool elsewhere", `spool": belongs to uid 65534`, func(s string) error {
			other := t.TempDir()
			return first(os.Remove(filepath.Join(s, "spool")), os.Symlink(other, filepath.Join(s, "spool")), os.Chown(other, 65534, 65534))
		}},
		{"captures without the agent", `power/spool": mode 0777 lets others write it`, func(s string) error {
			return first(os.MkdirAll(aloneFolder(s), 0o700), os.Chmod(aloneFolder(s), 0o777))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			state := filepath.Join(t.TempDir(), "state")
			if err := first(os.MkdirAll(filepath.Join(state, "spool"), 0o700), c.change(state)); err != nil {
				t.Fatal(err)
			}
			_, err := (&command{}).agent(settings{state: state, root: "/", log: newLog(t.Output(), 0, false)})
			if c.want == "" {
				if _, err := guardState(state); err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "look at what lies in it") {
				t.Errorf("%v, want %s", err, c.want)
			}
			if list, _ := os.ReadDir(state); len(list) > 2 {
				t.Error("something was made there: ", list)
			}
		})
	}
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
