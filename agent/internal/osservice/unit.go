package osservice

import (
	"strings"
)

// Unit returns the systemd unit of the agent.
//
// The capabilities are those that are used, and no more:
//
//	CAP_SYS_PTRACE       read /proc/PID/{exe,fd,cwd,ns} of every process (ptrace(2), access mode checks)
//	CAP_DAC_READ_SEARCH  read programs to hash them, and folders closed to others
//	CAP_SYS_ADMIN        setns(2) into the network namespaces of containers, to list their sockets
//	CAP_NET_ADMIN        nf_tables, socket marks, sock_diag with everything
//
// No option that makes a mount namespace is here (PrivateTmp, ProtectProc,
// PrivateDevices, ProtectHome, ProtectSystem, ReadWritePaths, …): the agent would then
// acquire evidence of another file system than the PC's. RestrictNamespaces would
// forbid setns. What is left keeps an intruder in the agent from making set-user-ID
// programs, loading modules or talking to odd devices.
func Unit(c Config) string {
	exec := []string{quote(c.Executable)}
	for _, a := range c.Arguments {
		exec = append(exec, quote(a))
	}
	return strings.Replace(unit, "@EXEC@", strings.Join(exec, " "), 1)
}

const unit = `[Unit]
Description=` + description + `
# What comes before at the start comes after at the stop: the network and logind are
# still there when the agent is asked to stop.
After=network-online.target network.target systemd-logind.service dbus.service
Wants=network-online.target
# A PC in trouble must not lose its agent for good after a few crashes.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart=@EXEC@
Restart=always
RestartSec=2
WatchdogSec=120
TimeoutStartSec=60
TimeoutStopSec=30
StateDirectory=hozen
StateDirectoryMode=0700
RuntimeDirectory=hozen
RuntimeDirectoryMode=0755
RuntimeDirectoryPreserve=yes
UMask=0077
LimitNOFILE=65536
LimitCORE=0
OOMScoreAdjust=-500
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH CAP_SYS_ADMIN CAP_NET_ADMIN
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=~@cpu-emulation @module @mount @obsolete @raw-io @reboot @swap
SystemCallErrorNumber=EPERM
KeyringMode=private

[Install]
WantedBy=multi-user.target
`

// quote spells one word of a command line (systemd.service(5), "COMMAND LINES").
func quote(s string) string {
	s = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%", "$", "$$", "\n", `\n`).Replace(s)
	if s != "" && !strings.ContainsAny(s, " \t'\"\\;") {
		return s
	}
	return `"` + s + `"`
}
