package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hozen/internal/e2e/rig"
)

// diskUnder puts a folder of the stopped program on a disk of its own.
func diskUnder(t *testing.T, s *system, dir string, size int64) *rig.Disk {
	t.Helper()
	d, err := rig.NewDisk(dir, size)
	if errors.Is(err, rig.ErrNoDisk) {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() {
		for _, p := range []*rig.Proc{s.agent.Proc, s.collector.Proc} {
			if p != nil {
				must(t, p.Stop())
			}
		}
		must(t, d.Close())
	})
	return d
}

// owing is what an agent still has to hand over.
type owing struct {
	rig.AgentStatus
	UnsentResults      int `json:"unsent_results"`
	UnfinishedCommands int `json:"unfinished_commands"`
}

// owes asks the running agent.
func (s *system) owes(ctx context.Context) (owing, error) {
	var o owing
	r, err := s.agent.CLI(ctx, "", "status", "--json")
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("status: exit code %d\n%s", r.Code, r.Stderr)
	}
	if err == nil {
		err = json.Unmarshal([]byte(r.Stdout), &o)
	}
	return o, err
}

// settled waits until the agent is connected and owes nothing.
func (s *system) settled(t *testing.T, ctx context.Context) {
	t.Helper()
	last := errors.New("it says nothing")
	s.await(t, ctx, "the agent to have handed everything over", func() (bool, error) {
		o, err := s.owes(ctx)
		if err != nil {
			return false, errors.Join(err, last) // it may be asked too often
		}
		last = fmt.Errorf("it says %+v", o)
		return o.Connected && o.Spool.Waiting+o.UnsentAlerts+o.UnsentResults+o.UnfinishedCommands == 0, last
	})
}

// logged waits until a log, from a place on, holds words.
func (s *system) logged(t *testing.T, ctx context.Context, file string, from int64, pattern string) {
	t.Helper()
	words := regexp.MustCompile(pattern)
	s.await(t, ctx, fmt.Sprintf("%q in %s", pattern, filepath.Base(file)), func() (bool, error) {
		b, err := os.ReadFile(file)
		if err != nil {
			return false, err
		}
		return words.Match(b[min(from, int64(len(b))):]), nil
	})
}

func size(t *testing.T, file string) int64 {
	t.Helper()
	fi, err := os.Stat(file)
	must(t, err)
	return fi.Size()
}

// TestAgentDiskFull fills the PC's disk to different heights while evidence is made.
// The person and the collector are told so; when there is room again everything goes
// on by itself.
func TestAgentDiskFull(t *testing.T) {
	ctx := within(t, patience)
	s := newSystem(t, ctx, options{notRunning: true, agent: rig.AgentConfig{Settings: "[spool]\nmin_free_bytes = 0\n"}})
	disk := diskUnder(t, s, s.agent.Dir, 12<<20)
	must(t, s.collector.Serve(ctx))
	must(t, s.agent.Run(ctx))
	s.awaitConnected(t, ctx)
	pc := s.endpoint(t, ctx).ID
	taken := 0
	for _, leave := range []int64{0, 4 << 10, 16 << 10, 48 << 10} {
		t.Run(fmt.Sprint(leave), func(t *testing.T) {
			from := size(t, s.agent.Log)
			must(t, disk.Fill(leave))
			var cmd rig.Command
			must(t, s.collector.Glass().Call(ctx, "command.order", map[string]any{"verb": "acquire", "endpoint": pc, "reason": "test"}, &cmd))
			s.logged(t, ctx, s.agent.Log, from, "no space left on device")
			r, err := s.agent.CLI(ctx, "", "report", "--wait", "0", "--lang", "en", "my disk is full")
			must(t, err)
			if r.Code != 0 && !strings.Contains(r.Stderr, "no space left on device") {
				t.Errorf("report on a full disk: exit code %d, %q; want it kept, or a word of the disk", r.Code, r.Stderr)
			}
			st, err := s.owes(ctx)
			must(t, err)
			log, err := os.ReadFile(s.agent.Log)
			must(t, err)
			// What is left may be enough for what a failed acquisition left, and then all is well again.
			if !st.Spool.Full && !st.Spool.Unsealed && !strings.Contains(st.Problem, "no space left") && !bytes.Contains(log[from:], []byte("sealed what a failed acquisition left")) {
				t.Errorf("the status says nothing of a full disk: %+v", st)
			}
			must(t, disk.Free())
			done := s.order(t, ctx, "acquire", nil)
			if done.Status != "done" {
				t.Errorf("with room again an order ends as %s: %s", done.Status, done.Detail)
			}
			s.settled(t, ctx)
			s.ended(t, ctx, cmd.ID)
			list, err := s.collector.Acquisitions(ctx, pc)
			must(t, err)
			if len(list) <= taken {
				t.Errorf("%d acquisitions, there were %d before", len(list), taken)
			}
			for _, a := range list[:len(list)-taken] {
				s.verified(t, ctx, a.ID)
			}
			taken = len(list)
			s.clean(t, ctx)
		})
	}
}

// ended fails the test unless an order has come to an end that says why.
func (s *system) ended(t *testing.T, ctx context.Context, commandID string) {
	t.Helper()
	var waited struct {
		Command rig.Command `json:"command"`
	}
	must(t, s.collector.Glass().Call(ctx, "command.wait", map[string]any{"command_id": commandID}, &waited))
	switch c := waited.Command; {
	case c.Status == "done":
	case c.Status == "failed" && strings.Contains(c.Detail, "no space left on device"):
	default:
		t.Errorf("the order during the full disk ended as %q, detail %q", c.Status, c.Detail)
	}
}

// TestCollectorDiskFull fills the collector's disk to different heights while a PC
// reports trouble and hands evidence over.
func TestCollectorDiskFull(t *testing.T) {
	ctx := within(t, patience)
	s := newSystem(t, ctx, options{notRunning: true})
	disk := diskUnder(t, s, s.collector.Dir, 24<<20)
	file := filepath.Join(s.collector.Dir, "collector.toml")
	settings, err := os.ReadFile(file)
	must(t, err)
	must(t, os.WriteFile(file, []byte(strings.Replace(string(settings), "min_free_mb = 256", "min_free_mb = 1", 1)), 0o600))
	must(t, s.collector.Serve(ctx))
	must(t, s.agent.Run(ctx))
	s.awaitConnected(t, ctx)
	pc := s.endpoint(t, ctx).ID
	taken := 0
	for _, leave := range []int64{0, 8 << 10, 100 << 10, 900 << 10} {
		t.Run(fmt.Sprint(leave), func(t *testing.T) {
			from, agentFrom := size(t, s.collector.Log), size(t, s.agent.Log)
			must(t, disk.Fill(leave))
			r, err := s.agent.CLI(ctx, "", "report", "--wait", "0", "something is wrong")
			must(t, err)
			if r.Code != 0 {
				t.Fatalf("report: exit code %d\n%s", r.Code, r.Stderr)
			}
			taken++
			s.logged(t, ctx, s.collector.Log, from, "no space left on the collector|disk is full")
			s.logged(t, ctx, s.agent.Log, agentFrom, "the collector's disk is full")
			if leave == 0 {
				r, err := s.collector.CLI(ctx, "--break-glass", "test", "acquire", pc)
				must(t, err)
				if r.Code == 0 || !strings.Contains(r.Stderr, "full") {
					t.Errorf("an order on a full disk: exit code %d, %q; want a word of the disk", r.Code, r.Stderr)
				}
			}
			must(t, disk.Free())
			s.settled(t, ctx)
			list, err := s.collector.Acquisitions(ctx, pc)
			must(t, err)
			if len(list) != taken {
				t.Errorf("%d acquisitions, want %d", len(list), taken)
			}
			s.verified(t, ctx, list[0].ID)
			s.clean(t, ctx)
		})
	}
	must(t, s.agent.Proc.Stop())
	must(t, s.collector.Proc.Stop())
	r, err := s.collector.CLI(ctx, "fsck", "--json")
	must(t, err)
	if r.Code != 0 {
		t.Errorf("fsck of the stopped collector: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}
