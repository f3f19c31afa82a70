package sysctl

import (
	"bytes"
	"context"
	"strings"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// Setting is one that is read, and what it decides.
type Setting struct{ Name, Why string }

// Settings returns those that are read, by their names with dots.
func Settings() []Setting {
	return []Setting{
		{"kernel.core_pattern", "program that the kernel runs as root when a process crashes"},
		{"kernel.modprobe", "program that the kernel runs as root to load a module"},
		{"kernel.hotplug", "program that the kernel runs as root for a new device"},
		{"kernel.poweroff_cmd", "program that the kernel runs to switch off"},
		{"kernel.usermodehelper.bset", "capabilities of programs that the kernel runs"},
		{"kernel.modules_disabled", "1: no module can be loaded until the next start"},
		{"kernel.kexec_load_disabled", "1: no other kernel can be started from this one"},
		{"kernel.dmesg_restrict", "1: only root reads the kernel's log"},
		{"kernel.kptr_restrict", "whether addresses of the kernel are shown"},
		{"kernel.perf_event_paranoid", "who may measure processes and the kernel"},
		{"kernel.randomize_va_space", "0: addresses of programs can be foretold"},
		{"kernel.sysrq", "which commands the keyboard gives to the kernel"},
		{"kernel.unprivileged_bpf_disabled", "0: every user may load eBPF programs"},
		{"kernel.unprivileged_userns_clone", "1: every user may make namespaces"},
		{"kernel.apparmor_restrict_unprivileged_userns", "1: AppArmor decides who may make namespaces"},
		{"kernel.yama.ptrace_scope", "who may read and change other processes"},
		{"kernel.io_uring_disabled", "0: every user may use io_uring, which many monitors do not see"},
		{"kernel.ftrace_enabled", "0: tracing, and with it much monitoring, is off"},
		{"kernel.panic", "seconds after which a crashed kernel starts anew, which ends its memory"},
		{"kernel.panic_on_oops", "1: an error in the kernel ends the PC"},
		{"kernel.seccomp.actions_logged", "which refusals of system calls are logged"},
		{"kernel.printk", "what the kernel logs"},
		{"kernel.ns_last_pid", "number of the process that was started last"},
		{"kernel.pid_max", "greatest number of a process"},
		{"user.max_user_namespaces", "0: nobody makes user namespaces"},
		{"fs.suid_dumpable", "whether programs with other rights leave memory dumps"},
		{"fs.protected_hardlinks", "0: users may link files of others"},
		{"fs.protected_symlinks", "0: links in temporary folders are followed for others"},
		{"fs.protected_fifos", "0: pipes of others in temporary folders may be opened"},
		{"fs.protected_regular", "0: files of others in temporary folders may be opened"},
		{binfmtStatus, "whether other kinds of programs are run by helpers"},
		{"vm.overcommit_memory", "how memory is promised"},
		{"vm.swappiness", "how soon memory goes to the swap area, which outlives the power"},
		{"vm.mmap_min_addr", "0: programs may use the first page of memory"},
		{"vm.unprivileged_userfaultfd", "1: every user may handle page faults, which exploits use"},
		{"dev.tty.ldisc_autoload", "1: every user may make the kernel load drivers of terminals"},
		{"net.ipv4.ip_forward", "1: the PC forwards other computers' traffic"},
		{"net.ipv4.conf.all.forwarding", "1: the PC forwards other computers' traffic"},
		{"net.ipv6.conf.all.forwarding", "1: the PC forwards other computers' traffic"},
		{"net.ipv4.conf.all.accept_redirects", "1: other computers may change routes"},
		{"net.ipv4.conf.all.send_redirects", "1: the PC changes routes of others"},
		{"net.ipv4.conf.all.rp_filter", "0: forged sender addresses are taken"},
		{"net.ipv4.conf.all.route_localnet", "1: others may reach what listens on the loopback"},
		{"net.ipv4.conf.all.proxy_arp", "1: the PC answers for other addresses"},
		{"net.ipv4.conf.all.log_martians", "1: impossible addresses are logged"},
		{"net.ipv4.icmp_echo_ignore_all", "1: the PC does not answer pings"},
		{"net.ipv4.ip_default_ttl", "what other computers take the system for"},
		{"net.ipv4.tcp_syncookies", "protection against floods of connections"},
		{"net.ipv4.tcp_timestamps", "whether packets tell the uptime"},
		{"net.ipv6.conf.all.disable_ipv6", "1: there is no IPv6"},
		{"net.core.bpf_jit_enable", "whether eBPF programs become machine code"},
		{"net.core.bpf_jit_harden", "0: eBPF machine code can be used for attacks"},
		{"net.netfilter.nf_conntrack_acct", "1: followed connections count bytes"},
		{"net.netfilter.nf_conntrack_timestamp", "1: followed connections tell when they began"},
	}
}

const (
	maxValue     = 16 << 10
	binfmtStatus = "fs.binfmt_misc.status"
)

// New returns the probe of the system whose files are below root, usually "/".
func New(root string) probe.Probe {
	return facts.New(facts.Config{
		Kind: artifact.KindSysctl, Schema: record.SchemaSysctl, Volatility: probe.Machine, OS: "linux",
		Read: func(ctx context.Context, o *facts.Out) error { return read(ctx, root, o) },
	})
}

func read(ctx context.Context, root string, o *facts.Out) error {
	r, err := facts.In(ctx, root)
	if err != nil {
		return err
	}
	defer r.Close()
	mounts, err := r.Mounts()
	o.Miss(err)
	for _, s := range Settings() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.Name == binfmtStatus && mounts["proc/sys/fs/binfmt_misc"] != "binfmt_misc" {
			continue // to ask would mount it, where systemd waits there for somebody who asks
		}
		b, err := r.File("proc/sys/"+strings.ReplaceAll(s.Name, ".", "/"), maxValue)
		if err != nil {
			o.Miss(err)
			continue
		}
		line := record.Sysctl{Name: s.Name, Why: s.Why}
		line.Value, _ = record.Text(bytes.TrimRight(b, "\n"))
		if err := o.Write(&line); err != nil {
			return err
		}
	}
	return nil
}
