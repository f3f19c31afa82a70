package recorder_test

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/recorder"
	"hozen/agent/internal/recorder/entry"
)

const idleEnv = "HOZEN_TEST_IDLE"

// quiet is a kernel that has nothing to tell.
type quiet struct{}

func (quiet) Run(ctx context.Context, _ func(*entry.Event)) error { <-ctx.Done(); return ctx.Err() }
func (quiet) Close() error                                        { return nil }

// TestIdleCost measures the recorder on an ordinary PC where nothing happens: 200
// processes and 100 connections in namespaces of their own, so that the neighbours of
// the test do not count.
func TestIdleCost(t *testing.T) {
	if how := os.Getenv(idleEnv); how != "" {
		idle(t, how)
		return
	}
	if os.Getenv(soakEnv) == "" {
		t.Skip("takes a minute: set " + soakEnv)
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes namespaces")
	}
	for _, how := range []string{"told", "polled"} {
		t.Run(how, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestIdleCost$", "-test.v", "-test.count=1")
			cmd.Env = append(os.Environ(), idleEnv+"="+how)
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
			out, err := cmd.CombinedOutput()
			t.Logf("%s", out)
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// idle measures where the kernel tells processes, but has nothing to tell, or where
// /proc is looked at instead.
func idle(t *testing.T, how string) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		t.Fatal(err)
	}
	loopbackUp(t)
	runCrowd(t, 197, 100)
	live0, sys0 := heap()
	rg := openRing(t)
	var sources recorder.Sources
	if how == "told" {
		sources.Events = func(*recorder.Budget) (recorder.Source, error) { return quiet{}, nil }
	}
	_, stop := start(t, recorder.Config{Ring: rg, Sources: sources})
	beating(t, rg)
	begun, cpu0 := time.Now(), cpu(t)
	wait, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	<-wait.Done()
	took, of := cpu(t)-cpu0, time.Since(begun)
	live1, sys1 := heap()
	t.Logf("CPU %v in %v: %v per 10 s (%.3f%% of a core); heap %+d KB, memory of the program %+d KB; on disk %d KB", took, of.Round(time.Millisecond),
		took*10*time.Second/of, 100*took.Seconds()/of.Seconds(), (int64(live1)-int64(live0))/1000, (int64(sys1)-int64(sys0))/1000, rg.Stats().Written/1000)
	stop()
	for _, e := range all(t, rg) {
		if e.Type == entry.Heartbeat {
			t.Logf("heartbeat: %d processes, %d connections, own count of time %v", e.Processes, e.Connections, time.Duration(e.CPUNS))
		}
	}
	if most := of / 500; took > most {
		t.Errorf("%v is more than 0.2%% of a core (%v)", took, most)
	}
}

func loopbackUp(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		t.Fatal(err)
	}
}
