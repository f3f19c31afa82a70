package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/profile"
)

// TestEveryProfile orders every profile of the agent that is shipped. What arrives is
// verified and tells of each kind of the profile, and the agent's memory stays within its
// bounds.
func TestEveryProfile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to cover what makes a disk large")
	}
	need(t, "unshare")
	programs(t) // building takes time of its own
	ctx := within(t, 2*patience)
	s := newSystem(t, ctx, options{notRunning: true})
	must(t, s.collector.Serve(ctx))
	s.agent.Program = s.onSmallDisk(t)
	must(t, s.agent.Run(ctx))
	s.awaitConnected(t, ctx)
	for n, p := range profile.All() {
		t.Run(p.Name, func(t *testing.T) {
			if p.Name == profile.Memory && showsMemory(t) > 4<<30 {
				t.Skip("an image of so much memory takes minutes")
			}
			status := fmt.Sprintf("/proc/%d/", s.agent.Proc.PID())
			must(t, os.WriteFile(status+"clear_refs", []byte("5"), 0)) // the peak begins anew (proc_pid_clear_refs(5))
			cmd := s.order(t, ctx, "acquire", map[string]any{"profile": p.Name})
			if cmd.Status != "done" {
				t.Fatalf("it ended as %s: %s", cmd.Status, cmd.Detail)
			}
			s.awaitAcquisitions(t, ctx, n+1)
			dir := s.verified(t, ctx, cmd.AcquisitionID)
			peak := bytesOf(t, status+"status", "VmHWM")
			s.took(t, dir, p)
			t.Logf("peak memory %d bytes", peak)
			if os.Getenv(raceVar) == "" && peak > peakMemory {
				t.Errorf("the agent used %d bytes of memory", peak)
			}
			if p.Name == profile.Flash { // which says nothing of itself
				return
			}
			f := records[record.Footprint](t, dir, artifact.KindFootprint)
			// The kernel counts memory by processor and adds up from time to time.
			if len(f) != 1 || f[0].MaxRSSBytes > peak+1<<20 || f[0].MaxRSSBytes < peak/2 || f[0].ReadCalls == 0 || f[0].UserNS == 0 || f[0].FilesOpened == 0 {
				t.Errorf("the peak is %d bytes; the evidence says %+v", peak, f)
			}
		})
	}
	s.clean(t, ctx)
}

// onSmallDisk returns a program that is the agent, and as a service sees next to nothing in the
// folders that are large where programs are built: reading those takes minutes and shows no more.
func (s *system) onSmallDisk(t *testing.T) string {
	t.Helper()
	inside := filepath.Join(s.agent.Dir, "hozen-agent")
	b, err := os.ReadFile(s.agent.Program)
	must(t, err)
	must(t, os.WriteFile(inside, b, 0o700))
	script := filepath.Join(s.dir, "agent.sh")
	must(t, os.WriteFile(script, []byte(`#!/bin/sh
[ "$1" = run ] || exec `+inside+` "$@"
exec unshare -m --propagation private sh -ec '
	mount --bind `+s.agent.Dir+` /mnt
	for d in /tmp /root /home /opt /srv /work /var/lib /var/tmp /var/cache /usr/local /usr/share /usr/src; do
		[ ! -d $d ] || mount -t tmpfs none $d
	done
	mkdir -p `+s.agent.Dir+`
	mount --bind /mnt `+s.agent.Dir+`
	mkdir -p /root/.ssh /home/someone
	echo "echo planted" >/root/.bash_history
	echo "ssh-ed25519 AAAA planted" >/root/.ssh/authorized_keys
	exec "$0" "$@"' `+inside+` "$@"
`), 0o700))
	return script
}

// took fails the test unless the evidence tells of every kind of the profile, in its order, and
// none was lost on the way.
func (s *system) took(t *testing.T, dir string, p profile.Profile) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, artifact.ManifestFile))
	must(t, err)
	var m artifact.Manifest
	must(t, json.Unmarshal(b, &m))
	if m.Profile != p.Name {
		t.Errorf("it is of the profile %s", m.Profile)
	}
	var want, got []artifact.Kind
	for _, l := range p.Lines {
		want = append(want, l.Kind)
	}
	for _, o := range m.Probes {
		if o.Kind == artifact.KindFlight { // the recorder's, which is with every acquisition
			continue
		}
		got = append(got, o.Kind)
		ends := o.Outcome != artifact.Failed && o.Outcome != artifact.Interrupted && o.Outcome != artifact.NotStarted
		if o.Kind == artifact.KindMemory {
			ends = o.Outcome == artifact.Denied
			if showsMemory(t) > 0 {
				ends = o.Outcome == artifact.Complete || o.Outcome == artifact.Partial
			}
		}
		if !ends {
			t.Errorf("%s is %s: %s", o.Kind, o.Outcome, o.Detail)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("it tells of %v, not of %v", got, want)
	}
}

// showsMemory returns how much memory the system shows to the agent, 0 where it shows none.
func showsMemory(t *testing.T) int64 {
	t.Helper()
	f, err := os.Open("/proc/kcore")
	if err != nil {
		return 0
	}
	defer f.Close()
	if _, err := f.Read(make([]byte, 64)); err != nil {
		return 0
	}
	return bytesOf(t, "/proc/meminfo", "MemTotal")
}

// bytesOf reads a size out of a text of /proc, which gives it in kB.
func bytesOf(t *testing.T, file, name string) (n int64) {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	_, rest, ok := strings.Cut("\n"+string(b), "\n"+name+":")
	if _, err := fmt.Sscan(rest, &n); err != nil || !ok {
		t.Fatalf("%s has no %s: %v", file, name, err)
	}
	return n << 10
}
