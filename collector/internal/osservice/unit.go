package osservice

import "strings"

// Unit returns the systemd unit of the collector. It runs as root without a single
// capability: it owns its data folder and can do nothing else that a user could not.
// ProtectSystem=full rather than strict, so that backups may go to another disk.
func Unit(c Config) string {
	exec := []string{quote(c.Executable)}
	for _, a := range c.Arguments {
		exec = append(exec, quote(a))
	}
	return strings.Replace(unit, "@EXEC@", strings.Join(exec, " "), 1)
}

const unit = `[Unit]
Description=` + description + `
After=network-online.target postgresql.service
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart=@EXEC@
Restart=always
RestartSec=2
WatchdogSec=120
TimeoutStartSec=300
TimeoutStopSec=30
StateDirectory=hozen-collector
StateDirectoryMode=0700
UMask=0077
LimitNOFILE=65536
LimitCORE=0
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=full
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictNamespaces=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallFilter=@chown
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
