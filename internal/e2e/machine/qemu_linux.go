package machine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hozen/internal/e2e/rig"
)

// VirtualConfig says how to boot a virtual machine.
type VirtualConfig struct {
	// Disk has the root of a recipe for virtual machines. What was written or copied on
	// it since the last boot is there in the next one; what the guest writes cannot be
	// read from outside.
	Disk *Disk
	// Wire is the guest's network. Optional.
	Wire *Wire
	// OneProcessor gives the guest one processor instead of two. A kernel 6.12 with two
	// panicked in the code that a netdev hook patches when it comes or goes (a static key):
	// QEMU 7.2 may play code that another processor has just changed.
	OneProcessor bool
	// Memory is how much the guest has, in MiB. Default 768.
	Memory int
}

// Virtual is a guest with a kernel and hardware of its own, which this machine's
// processor only plays (QEMU's TCG): all takes some twenty times as long as in a
// container. Its disk has a journal, and every write that the guest was told is done
// is on this machine's disk (cache=writethrough), so that killing it is a power cut.
type Virtual struct {
	// Booted is how long it took until the guest's systemd had started everything.
	Booted time.Duration

	wire    *Wire
	proc    *rig.Proc
	console string
	files   []string // to remove when it is down
	line    *shell
	board   *qmp
	began   time.Time     // of the way down
	trigger <-chan answer // comes only when the trigger's command ends before the guest does
}

// BootVirtual boots a virtual machine and waits until its systemd has started everything.
func (h *Hall) BootVirtual(ctx context.Context, cfg VirtualConfig) (_ *Virtual, err error) {
	m := &Virtual{wire: cfg.Wire, console: filepath.Join(cfg.Disk.dir, "console")}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("boot a virtual machine: %w\n%s", err, m.Console(20)), m.Close())
		}
	}()
	args, err := m.hardware(ctx, cfg)
	if err != nil {
		return m, err
	}
	path, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		return m, err
	}
	start := time.Now()
	spec := rig.Spec{Path: path, Args: args, Log: m.console}
	if m.wire != nil {
		spec.Host = m.wire.lab.PC
	}
	if m.proc, err = h.n.Start(spec); err != nil {
		return m, err
	}
	if m.wire != nil {
		if err := m.wire.plug(ctx, m.proc); err != nil {
			return m, err
		}
	}
	if err := m.connect(ctx, cfg.Disk.dir); err != nil {
		return m, err
	}
	select {
	case <-m.line.up:
	case <-m.line.gone:
		return m, errors.New("the guest went down while it booted")
	case <-ctx.Done():
		return m, ctx.Err()
	}
	out, _, err := m.line.run(ctx, "systemctl is-system-running --wait", "")
	if said := strings.TrimSpace(out); err == nil && said != "running" && said != "degraded" {
		err = fmt.Errorf("the guest says %q", said)
	}
	m.Booted = time.Since(start)
	return m, err
}

// hardware lays out the machine and returns the arguments of QEMU.
func (m *Virtual) hardware(ctx context.Context, cfg VirtualConfig) ([]string, error) {
	dir := cfg.Disk.dir
	img, err := cfg.Disk.image(ctx)
	if err != nil {
		return nil, err
	}
	given, err := m.prepare(ctx, cfg, img)
	if err != nil {
		return nil, err
	}
	accel, processors := "tcg,thread=multi", "2"
	if cfg.OneProcessor {
		accel, processors = "tcg,thread=single", "1"
	}
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		// QEMU 7.2 plays cmpxchg16b wrongly at times, and kernels from 6.2 on use it.
		"-accel", accel, "-cpu", "qemu64,-cx16", "-smp", processors, "-m", strconv.Itoa(cmp.Or(cfg.Memory, 768)),
		"-kernel", img.kernel, "-initrd", img.initrd,
		"-append", "console=ttyS0 quiet panic=-1 net.ifnames=0 systemd.show_status=yes systemd.hostname=pc",
		"-drive", "file=" + cfg.Disk.overlay() + ",if=virtio,format=qcow2,cache=writethrough",
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-device", "virtio-rng-pci",
		"-chardev", "socket,id=shell,server=on,wait=off,path=" + filepath.Join(dir, "shell.sock"),
		"-device", "virtio-serial-pci", "-device", "virtserialport,chardev=shell,name=shell",
		"-qmp", "unix:" + filepath.Join(dir, "qmp.sock") + ",server=on,wait=off",
	}
	m.files = []string{filepath.Join(dir, "shell.sock"), filepath.Join(dir, "qmp.sock")}
	if given != "" {
		m.files = append(m.files, given)
		args = append(args, "-drive", "file="+given+",if=virtio,format=raw,readonly=on")
	}
	if m.wire != nil {
		args = append(args, "-netdev", "tap,id=wire,ifname="+wireTap+",script=no,downscript=no", "-device", "virtio-net-pci,netdev=wire")
	}
	return args, nil
}

// prepare makes the guest's disk the first time and packs what it is given.
func (m *Virtual) prepare(ctx context.Context, cfg VirtualConfig, img image) (given string, err error) {
	fresh := !exists(cfg.Disk.overlay())
	if fresh && m.wire != nil {
		if err := cfg.Disk.Write(wireFile, m.wire.settings(), 0o644); err != nil {
			return "", err
		}
	}
	if given, err = cfg.Disk.pack(); err != nil || !fresh {
		return given, err
	}
	out, err := exec.CommandContext(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-b", img.disk, "-F", "raw", cfg.Disk.overlay()).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("make the guest's disk: %w\n%s", err, out)
	}
	return given, nil
}

// connect opens the lines to the guest and to its hardware.
func (m *Virtual) connect(ctx context.Context, dir string) error {
	dial := func(name string) (c net.Conn, err error) {
		err = rig.Until(ctx, name, func() (bool, error) {
			c, err = new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, name))
			return err == nil, err
		}, m.proc)
		return c, err
	}
	c, err := dial("shell.sock")
	if err != nil {
		return err
	}
	m.line = newShell(c)
	if c, err = dial("qmp.sock"); err != nil {
		return err
	}
	m.board, err = newQMP(c)
	return err
}

// Console returns the last lines of the guest's console.
func (m *Virtual) Console(lines int) string {
	b, err := os.ReadFile(m.console)
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimRight(string(b), "\r\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Run runs a program as root inside; see [Machine]. One runs at a time.
func (m *Virtual) Run(ctx context.Context, cmd ...string) (string, error) {
	return m.Feed(ctx, "", cmd...)
}

// Feed is Run with a text for the program's standard input.
func (m *Virtual) Feed(ctx context.Context, stdin string, cmd ...string) (string, error) {
	out, code, err := m.line.run(ctx, words(cmd), stdin)
	if err == nil && code != 0 {
		err = fmt.Errorf("exit code %d\n%s", code, out)
	}
	if err != nil {
		err = fmt.Errorf("run %s in the guest: %w", cmd[0], err)
	}
	return out, err
}

// Start starts a program as root inside; see [Machine].
func (m *Virtual) Start(ctx context.Context, cmd ...string) error {
	_, err := m.Run(ctx, append([]string{"systemd-run", "--quiet", "--collect", "--"}, cmd...)...)
	return err
}

// LogIn opens a session of an account, as a person at the PC has, in which a script
// for sh runs. It ends with the script or when the guest goes down.
func (m *Virtual) LogIn(account, script string) error {
	_, err := m.line.send(words([]string{"setsid", "su", "-l", account, "-c", script})+" </dev/null >/dev/null 2>&1 &", "")
	return err
}

// Trigger makes the guest go down; see [Machine].
func (m *Virtual) Trigger(_ context.Context, t Trigger) (err error) {
	m.began = time.Now()
	switch t {
	case PowerLoss:
		return m.Kill()
	case PowerButton:
		return m.board.do("system_powerdown", nil)
	case CtrlAltDel:
		return m.board.press("ctrl", "alt", "delete")
	}
	cmd := t.Command()
	if cmd == nil {
		return fmt.Errorf("a virtual machine has no %s: %w", t, errors.ErrUnsupported)
	}
	m.trigger, err = m.line.send(words(cmd), "")
	return err
}

// WaitDown waits until the guest is down; see [Machine].
func (m *Virtual) WaitDown(ctx context.Context) (time.Duration, error) {
	for {
		select {
		case <-m.proc.Done():
			return time.Since(m.began), nil
		case a := <-m.trigger:
			if a.code != 0 {
				return time.Since(m.began), fmt.Errorf("the guest does not go down: exit code %d\n%s", a.code, a.out)
			}
			m.trigger = nil // it has ended well, and the guest will too
		case <-ctx.Done():
			return time.Since(m.began), fmt.Errorf("wait until the guest is down: %w\n%s", ctx.Err(), m.Console(20))
		}
	}
}

// Kill ends the guest at once; see [Machine].
func (m *Virtual) Kill() error {
	if m.began.IsZero() {
		m.began = time.Now()
	}
	m.proc.Kill()
	return nil
}

// Close kills the guest and lets go of it; see [Machine].
func (m *Virtual) Close() error {
	if m.proc != nil {
		m.proc.Kill()
	}
	var errs []error
	if m.line != nil {
		errs = append(errs, m.line.conn.Close())
		m.line = nil
	}
	if m.board != nil {
		errs = append(errs, m.board.conn.Close())
		m.board = nil
	}
	for _, f := range m.files {
		if err := os.Remove(f); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	m.files = nil
	return errors.Join(errs...)
}
