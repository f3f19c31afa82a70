package machine

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"hozen/internal/netlab"
)

// standVar makes this test program one that boots a guest and then waits to be killed.
const standVar = "HOZEN_MACHINE_STAND"

func TestMain(m *testing.M) {
	if os.Getenv(standVar) != "" {
		if err := stand(context.Background()); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// stand boots a guest, prints the hall's folder and the guest's PID 1, and waits.
func stand(ctx context.Context) error {
	h, err := NewHall(ctx)
	if err != nil {
		return err
	}
	d, err := h.Disk(ctx, Bookworm())
	if err != nil {
		return err
	}
	host, err := netlab.NewHost()
	if err != nil {
		return err
	}
	m, err := h.Boot(ctx, ContainerConfig{Disk: d, Host: host})
	if err != nil {
		return err
	}
	if _, err := h.NewStuckFS("/bin/true"); err != nil {
		return err
	}
	fmt.Println(h.dir, m.Leader())
	select {}
}

// TestKilledTestLeavesNothing kills a program that has a guest running: the guest dies
// with it, and the next hall removes the rest.
func TestKilledTestLeavesNothing(t *testing.T) {
	first, ctx := hall(t)
	if _, err := Rootfs(ctx, Bookworm()); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), standVar+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	dir, leader, ok := strings.Cut(strings.TrimSpace(line), " ")
	if !ok {
		t.Fatalf("it said %q", line)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); exists("/proc/" + leader); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("the guest outlives the program that booted it")
		}
	}
	if !exists(dir) {
		t.Fatalf("%s is gone already; what removes it is not shown", dir)
	}
	second, err := NewHall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	if exists(dir) || strings.Contains(string(mounts), dir) {
		t.Errorf("%s is still there, or mounted", dir)
	}
	if !exists(first.dir) {
		t.Error("the sweep removed a hall that stands")
	}
}
