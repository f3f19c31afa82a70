package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hozen/internal/e2e/rig"
	"hozen/internal/netlab"
)

// ContainerConfig says how to boot a container.
type ContainerConfig struct {
	Disk *Disk
	// Host is the guest's network, with its devices and addresses as they are to be.
	Host *netlab.Host
	// Prepare is a script for sh that runs before the guest, in the same mounts; $1 is
	// the guest's root. What it mounts there is gone with the guest. Optional.
	Prepare string
	// Binds are further folders of this machine to be seen inside, "from:to". Optional.
	Binds []string
}

// Container is a guest with a systemd of its own that shares this machine's kernel.
// A power cut is therefore told apart from a true one by this: what the guest wrote
// and did not sync is there afterwards.
type Container struct {
	// Booted is how long it took until the guest's systemd had started everything.
	Booted time.Duration

	name    string
	n       *rig.Nursery
	proc    *rig.Proc
	console string
	groups  []string
	leader  int
	pidfd   int
	spaces  map[string]*os.File // namespaces of the guest, by what nsenter calls them
	began   time.Time           // of the way down
}

// launch runs in a mount namespace that dies with the guest. $1 where the disk is
// mounted, $2 its options, $3 control groups, $4 the preparation; the rest is the guest.
const launch = `set -e
for g in $3; do echo 0 > "$g/cgroup.procs"; done
mount -t overlay hozen-machine -o "$2" "$1"
if [ -n "$4" ]; then sh -e -c "$4" prepare "$1"; fi
shift 4
exec "$@"`

// Boot boots a container and waits until its systemd has started everything.
func (h *Hall) Boot(ctx context.Context, cfg ContainerConfig) (_ *Container, err error) {
	m := &Container{name: guestName(h.dir, strings.TrimPrefix(filepath.Base(cfg.Disk.dir), "disk-")), n: h.n, pidfd: -1,
		console: filepath.Join(cfg.Disk.dir, "console"), spaces: map[string]*os.File{}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("boot a container: %w", err), m.Close())
		}
	}()
	for _, g := range cgroups(filepath.Base(h.dir)) {
		g = filepath.Join(g, m.name)
		if err := os.MkdirAll(g, 0o755); err != nil {
			return m, err
		}
		m.groups = append(m.groups, g)
	}
	// nspawn is PID 1 of a namespace of its own: when this process is killed, unshare is,
	// then nspawn, and with it the kernel kills the guest, which would outlive nspawn alone.
	args := []string{fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), cfg.Host.FD()), "--",
		"unshare", "--mount", "--propagation", "private", "--pid", "--kill-child", "--mount-proc", "--", "sh", "-c", launch, "launch",
		cfg.Disk.root(), cfg.Disk.options(), strings.Join(m.groups, " "), cfg.Prepare,
		"systemd-nspawn", "--quiet", "--directory=" + cfg.Disk.root(), "--boot", "--register=no", "--keep-unit",
		"--machine=" + m.name, "--console=read-only", "--capability=CAP_NET_ADMIN", "--link-journal=no",
		"--system-call-filter=adjtimex clock_adjtime", // reading the clock's state is the agent's; setting it needs a right that no guest has
		"--network-namespace-path=/proc/self/ns/net"}
	for _, b := range cfg.Binds {
		args = append(args, "--bind="+b)
	}
	start := time.Now()
	if m.proc, err = h.n.Start(rig.Spec{Path: "/usr/bin/nsenter", Args: args, Log: m.console}); err != nil {
		return m, err
	}
	if err := rig.Until(ctx, "the guest's PID 1", m.find, m.proc); err != nil {
		return m, err
	}
	said := ""
	err = rig.Until(ctx, "the guest's systemd", func() (bool, error) {
		r, err := m.run(ctx, "systemctl", "is-system-running")
		said = strings.TrimSpace(r.Stdout)
		if err == nil && said != "running" {
			err = fmt.Errorf("the guest says %q %s", said, strings.TrimSpace(r.Stderr))
		}
		return said == "running" || said == "degraded", err
	}, m.proc)
	m.Booted = time.Since(start)
	return m, err
}

// find looks for the guest's PID 1 and takes hold of it and of its namespaces, so
// that no later process that gets its number is ever taken for it.
func (m *Container) find() (bool, error) {
	for _, child := range children(children(strconv.Itoa(m.proc.PID()))...) { // of nspawn, which is unshare's
		status, err := os.ReadFile("/proc/" + child + "/status")
		if err != nil || !innermostFirst(string(status)) {
			continue
		}
		if comm, err := os.ReadFile("/proc/" + child + "/comm"); err != nil || strings.TrimSpace(string(comm)) != "systemd" {
			continue // still nspawn's own code
		}
		if m.leader, err = strconv.Atoi(child); err != nil {
			return false, err
		}
		if m.pidfd, err = unix.PidfdOpen(m.leader, 0); err != nil {
			return false, fmt.Errorf("hold the guest's PID 1: %w", err)
		}
		for flag, file := range map[string]string{"mount": "mnt", "uts": "uts", "ipc": "ipc", "net": "net", "pid": "pid", "cgroup": "cgroup"} {
			f, err := os.Open("/proc/" + child + "/ns/" + file)
			if err != nil {
				return false, fmt.Errorf("hold the guest's namespaces: %w", err)
			}
			m.spaces[flag] = f
		}
		return true, m.apart()
	}
	return false, errors.New("it has none yet")
}

// children returns the children of processes.
func children(parents ...string) (pids []string) {
	for _, p := range parents {
		if b, err := os.ReadFile("/proc/" + p + "/task/" + p + "/children"); err == nil {
			pids = append(pids, strings.Fields(string(b))...)
		}
	}
	return pids
}

// innermostFirst reports whether a process is PID 1 of the innermost of three or more
// PID namespaces (NSpid in proc_pid_status(5)): this machine's, nspawn's, its own.
func innermostFirst(status string) bool {
	for line := range strings.Lines(status) {
		if f := strings.Fields(line); len(f) > 3 && f[0] == "NSpid:" {
			return f[len(f)-1] == "1"
		}
	}
	return false
}

// apart makes sure that the namespaces are not this machine's: a command to switch
// off must never run here.
func (m *Container) apart() error {
	for flag, f := range m.spaces {
		var theirs, ours unix.Stat_t
		name := map[string]string{"mount": "mnt"}[flag]
		if name == "" {
			name = flag
		}
		if err := errors.Join(unix.Fstat(int(f.Fd()), &theirs), unix.Stat("/proc/self/ns/"+name, &ours)); err != nil {
			return err
		}
		if theirs.Ino == ours.Ino && theirs.Dev == ours.Dev {
			return fmt.Errorf("the guest shares the %s namespace of this machine", flag)
		}
	}
	return nil
}

// Leader is the guest's PID 1 as this machine counts.
func (m *Container) Leader() int { return m.leader }

// Name is the guest's host name.
func (m *Container) Name() string { return m.name }

// Console returns the last lines of the guest's console.
func (m *Container) Console(lines int) string { return m.proc.LogTail(lines) }

// inside is how a program is started in the guest.
func (m *Container) inside(cmd ...string) rig.Spec {
	var args []string
	for flag, f := range m.spaces {
		args = append(args, fmt.Sprintf("--%s=/proc/%d/fd/%d", flag, os.Getpid(), f.Fd()))
	}
	args = append(args, "--", "/usr/bin/env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LC_ALL=C.UTF-8", "HOME=/root", "TERM=dumb")
	return rig.Spec{Path: "/usr/bin/nsenter", Args: append(args, cmd...)}
}

func (m *Container) run(ctx context.Context, cmd ...string) (rig.Result, error) {
	return m.n.Run(ctx, m.inside(cmd...), "")
}

// Run runs a program as root inside; see [Machine].
func (m *Container) Run(ctx context.Context, cmd ...string) (string, error) {
	return m.Feed(ctx, "", cmd...)
}

// Feed is Run with a text for the program's standard input.
func (m *Container) Feed(ctx context.Context, stdin string, cmd ...string) (string, error) {
	r, err := m.n.Run(ctx, m.inside(cmd...), stdin)
	out := r.Stdout + r.Stderr
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("run %s in the guest: exit code %d\n%s", cmd[0], r.Code, out)
	}
	return out, err
}

// Start starts a program as root inside; see [Machine].
func (m *Container) Start(ctx context.Context, cmd ...string) error {
	_, err := m.Run(ctx, append([]string{"systemd-run", "--quiet", "--collect", "--"}, cmd...)...)
	return err
}

// LogIn opens a session of an account, as a person at the PC has, in which a script
// for sh runs. It ends with the script or when the guest goes down.
func (m *Container) LogIn(account, script string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return m.detach(ctx, "/dev/null", "su", "-l", account, "-c", script)
}

// detach starts a program inside that has the guest's PID 1 as its parent: one whose
// parent waits outside would not be reaped when systemd stops everything before the
// end (SIGSTOP), because that stops nsenter too.
func (m *Container) detach(ctx context.Context, output string, cmd ...string) error {
	const script = `out=$1; shift; exec setsid --fork "$@" </dev/null >"$out" 2>&1`
	_, err := m.Run(ctx, append([]string{"sh", "-c", script, "detach", output}, cmd...)...)
	return err
}

// Trigger makes the guest go down; see [Machine].
func (m *Container) Trigger(ctx context.Context, t Trigger) error {
	m.began = time.Now()
	if t == PowerLoss {
		return m.cut()
	}
	cmd := t.Command()
	if cmd == nil || t == Reboot { // nspawn boots the guest again by itself
		return fmt.Errorf("a container has no %s: %w", t, errors.ErrUnsupported)
	}
	err := m.detach(ctx, "/dev/console", cmd...) // whether it ends well is seen by what comes of it
	if m.proc.Ended() != nil {
		return nil // faster than its parent could say so
	}
	return err
}

// WaitDown waits until the guest is down; see [Machine].
func (m *Container) WaitDown(ctx context.Context) (time.Duration, error) {
	select {
	case <-m.proc.Done():
		return time.Since(m.began), nil
	case <-ctx.Done():
		return time.Since(m.began), fmt.Errorf("wait until the guest is down: %w\n%s", ctx.Err(), m.Console(20))
	}
}

// cut kills PID 1, and the kernel with it everything in its PID namespace at once
// (pid_namespaces(7)).
func (m *Container) cut() error {
	if err := unix.PidfdSendSignal(m.pidfd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill the guest's PID 1: %w", err)
	}
	return nil
}

// Kill ends the guest at once; see [Machine].
func (m *Container) Kill() error {
	if m.began.IsZero() {
		m.began = time.Now()
	}
	var err error
	if m.pidfd >= 0 {
		err = m.cut()
	}
	select {
	case <-m.proc.Done():
	case <-time.After(10 * time.Second):
		m.proc.Kill()
	}
	return err
}

// Close kills the guest and lets go of it; see [Machine].
func (m *Container) Close() error {
	var errs []error
	if m.proc != nil && m.proc.Ended() == nil {
		errs = append(errs, m.Kill())
	}
	for _, f := range m.spaces {
		errs = append(errs, f.Close())
	}
	clear(m.spaces)
	if m.pidfd >= 0 {
		errs = append(errs, unix.Close(m.pidfd))
		m.pidfd = -1
	}
	for _, g := range m.groups {
		errs = append(errs, removeGroup(g))
	}
	m.groups = nil
	return errors.Join(errs...)
}
