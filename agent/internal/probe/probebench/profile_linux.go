package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// profileRounds is how often the whole profile is taken.
const profileRounds = 3

// incomplete is what the agent ends with when some of a profile could not be had, as in a
// scene whose PC has no journal and no services.
const incomplete = 3

// wholeProfile prints what the volatile profile takes from the shipped agent in the big
// scene, from its start to the signed manifest: as long as somebody waits, and as much of
// one core. All kinds of the profile are in it, with the priority that the agent gives each.
func wholeProfile(agent, dir string) error {
	if agent == "" {
		return nil
	}
	var took, cpu []time.Duration
	for i := range profileRounds {
		out := filepath.Join(dir, "out-"+strconv.Itoa(i))
		begun := time.Now()
		p, err := os.StartProcess(agent, []string{agent, "acquire", "--profile", "volatile", "--out", out, "--quiet"},
			&os.ProcAttr{Env: os.Environ(), Files: []*os.File{nil, os.Stderr, os.Stderr}})
		if err != nil {
			return fmt.Errorf("start agent: %w", err)
		}
		state, err := p.Wait()
		if err != nil {
			return fmt.Errorf("wait for agent: %w", err)
		}
		if code := state.ExitCode(); code != 0 && code != incomplete {
			return fmt.Errorf("take the volatile profile: %s", state)
		}
		took, cpu = append(took, time.Since(begun)), append(cpu, state.UserTime()+state.SystemTime())
		if err := os.RemoveAll(out); err != nil {
			return fmt.Errorf("remove evidence: %w", err)
		}
	}
	return errors.Join(
		print("capture.volatile.whole.ms", float64(median(took))/1e6, "ms", ""),
		print("capture.volatile.whole.cpu.ms", float64(median(cpu))/1e6, "ms", ""),
	)
}
