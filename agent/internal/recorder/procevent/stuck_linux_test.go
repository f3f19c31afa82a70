package procevent_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"hozen/agent/internal/recorder/entry"
	"hozen/agent/internal/recorder/procevent"
)

// bog is the real /proc, in which programs that were started with an argument hang.
type bog struct {
	*procevent.Reader
	release chan struct{}
}

func (b bog) Read(e *entry.Event) {
	b.Reader.Read(e)
	if strings.HasSuffix(string(e.Cmdline), "\x00that-hangs\x00") {
		<-b.release
	}
}

// An exec whose process hangs is told, without its command line, with a gap that says
// why; and what happens after it is told too.
func TestAnExecThatHangsIsTold(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	g, err := procevent.NewGuard(func() (procevent.Processes, error) {
		r, err := procevent.NewReader("/")
		return bog{r, release}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	c, err := procevent.Open(procevent.Config{Guard: g})
	if err != nil {
		t.Skipf("needs root in the initial namespaces: %v", err)
	}
	defer c.Close()
	cmd := exec.Command("/bin/cat", "/dev/stdin", "that-hangs")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("needs /bin/cat: %v", err)
	}
	defer cmd.Wait()
	defer in.Close() // ends it
	after := exec.Command("/proc/self/exe", "-test.run=^$")
	if err := after.Run(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ran := make(chan struct{})
	gap, told, ended := false, false, false
	go func() {
		defer close(ran)
		_ = c.Run(ctx, func(e *entry.Event) { // it ends with ctx
			switch {
			case e.Type == entry.Gap && strings.HasPrefix(string(e.Detail), fmt.Sprintf("not read: stuck: process %d ", cmd.Process.Pid)):
				gap = true
			case e.How == entry.HowExec && e.PID == cmd.Process.Pid:
				told = true
				if string(e.Comm) != "cat" || len(e.Exe) == 0 || e.PPID != os.Getpid() || e.StartTicks == 0 || e.UID != int64(os.Getuid()) || e.Unread != entry.UnreadCmdline|entry.UnreadStuck {
					t.Errorf("exec of %q by %d: unread %b, %d bytes of command line", e.Exe, e.PPID, e.Unread, len(e.Cmdline))
				}
			case e.Type == entry.ProcessEnded && e.PID == after.Process.Pid:
				ended = true
				cancel()
			}
		})
	}()
	select {
	case <-ran:
	case <-time.After(30 * time.Second):
		t.Fatal("the recorder hangs with the process")
	}
	if !gap || !told || !ended {
		t.Errorf("gap %t, exec %t, what came after %t", gap, told, ended)
	}
}
