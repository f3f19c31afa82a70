package osservice

import (
	"strings"
)

// The units of the agent. All that follows from a stop at the end of a start-up is in
// companionUnit and companionFirst.
const (
	unitAgent     = Name + ".service"
	unitCompanion = Name + "-shutdown.service"
	unitIsolation = Name + "-isolation.service"
	dropIn        = "50-" + Name + ".conf"

	logindUnit = "systemd-logind.service"
)

// wantedBy says which target starts a unit.
var wantedBy = map[string]string{
	unitAgent:     "multi-user.target",
	unitCompanion: "multi-user.target",
	unitIsolation: "sysinit.target",
}

// unitNames are the keys of wantedBy in the order in which they are told.
func unitNames() []string { return []string{unitAgent, unitCompanion, unitIsolation} }

// stoppedAfter are the kinds of units that systemd must not stop before the companion
// is done: whatever people and containers run. The names are prefixes and templates,
// which hold for units that do not exist yet (systemd.unit(5), "foo-.service.d").
func stoppedAfter() []string {
	return []string{
		"session-.scope", "user@.service", "user-.slice", // sign-ins and what they leave behind
		"run-.scope", "run-.service", // systemd-run(1)
		"machine-.scope", "docker-.scope", "libpod-.scope", "crio-.scope", "cri-containerd-.scope",
	}
}

// UnitFiles returns every file below systemd's folder of units, by its name there.
// Packages hold the same files as "service install" writes.
func UnitFiles(c Config) map[string]string {
	files := map[string]string{
		unitAgent:     strings.ReplaceAll(agentUnit, "@EXEC@", c.commandLine("run", "--service")),
		unitCompanion: strings.ReplaceAll(companionUnit, "@EXEC@", c.commandLine("shutdown-capture")),
		unitIsolation: strings.NewReplacer("@EXEC@", c.commandLine("boot-isolation"), "@CUT@", c.commandLine("boot-isolation", "--after-failure"), "@STATE@", escapePath(c.state())).Replace(isolationUnit),
	}
	for _, kind := range stoppedAfter() {
		files[kind+".d/"+dropIn] = companionFirst
	}
	return files
}

// agentUnit is the unit of the agent itself.
//
// The capabilities are those that are used, and no more:
//
//	CAP_SYS_PTRACE       read /proc/PID/{exe,fd,cwd,ns} of every process (ptrace(2), access mode checks)
//	CAP_DAC_READ_SEARCH  read programs to hash them, and folders closed to others
//	CAP_SYS_ADMIN        setns(2) into the network namespaces of containers, to list their sockets
//	CAP_NET_ADMIN        nf_tables, socket marks, sock_diag with everything, the process connector
//	CAP_NET_RAW          send raw frames that the rules of an isolation must drop, to show that they do
//	CAP_FOWNER           read files of others without changing the time of their last access (open(2), O_NOATIME)
//	CAP_AUDIT_CONTROL    ask for the state of the kernel's audit; there is no lesser right for that
//	CAP_SYSLOG           read the kernel's log (syslog(2)), which tells how the boot before ended, and the
//	                     addresses in /proc/kallsyms
//	CAP_SYS_RAWIO        open /proc/kcore when an image of memory is ordered; what else it allows is
//	                     denied below (@raw-io) or by the kernel (/dev/mem, strict)
//
// The group tty may write to people's terminals: they are told before an incident's PC
// goes down.
//
// CPUWeight and IOWeight: evidence is wanted most when a PC has the most to do, and is
// then a matter of milliseconds. While nothing happens they mean nothing.
//
// No MemoryHigh: a control group's memory holds the pages of the files that it writes too, so
// that an image of memory of many GiB would reach any limit, and the isolation, which lives in
// the same process, would be slowed down with it. What is kept in memory is bounded where
// it is read.
//
// No option that makes a mount namespace is here (PrivateTmp, ProtectProc,
// PrivateDevices, ProtectHome, ProtectSystem, ReadWritePaths, …): the agent would then
// acquire evidence of another file system than the PC's. RestrictNamespaces would
// forbid setns. What is left keeps an intruder in the agent from making set-user-ID
// programs, loading modules or talking to odd devices. Powering off needs no @reboot:
// logind is asked to.
const agentUnit = `[Unit]
Description=` + description + `
# What comes before at the start comes after at the stop: the network and logind are
# still there when the agent is asked to stop.
After=network-online.target network.target systemd-logind.service dbus.service
# That one has put the rules of an isolation in force; the agent watches over them.
After=` + unitIsolation + `
Wants=network-online.target ` + unitCompanion + `
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
TimeoutStopSec=60
RuntimeDirectory=hozen
RuntimeDirectoryMode=0755
RuntimeDirectoryPreserve=yes
CapabilityBoundingSet=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH CAP_SYS_ADMIN CAP_NET_ADMIN CAP_NET_RAW CAP_FOWNER CAP_AUDIT_CONTROL CAP_SYSLOG CAP_SYS_RAWIO
RestrictAddressFamilies=AF_PACKET
SupplementaryGroups=tty
CPUWeight=500
IOWeight=500
` + confined + ownProc + `
[Install]
WantedBy=multi-user.target
`

// companionUnit is stopped before everything else when the PC goes down, whoever asked
// for that and how: the ways that go past logind come through here only.
//
// It has no ExecStart: a oneshot unit that remains is "running" from the start-up on
// without a process (systemd.service(5), Type=). At a stop the order of starting is
// turned round, so all that stands in After= is still there while ExecStop runs, and
// so is whatever those targets want in their turn.
const companionUnit = `[Unit]
Description=Hozen: takes evidence before this PC goes down
After=multi-user.target graphical.target network-online.target ` + unitAgent + `
After=systemd-logind.service dbus.service systemd-user-sessions.service display-manager.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStop=@EXEC@
TimeoutStopSec=60
CapabilityBoundingSet=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH CAP_SYS_ADMIN CAP_NET_ADMIN
CPUWeight=500
IOWeight=500
` + confined + ownProc + `
[Install]
WantedBy=multi-user.target
`

// companionFirst makes units that the companion cannot name wait for it.
const companionFirst = `# Stopped only when ` + unitCompanion + ` has taken its evidence.
[Unit]
Before=` + unitCompanion + `
`

// isolationUnit puts an ordered isolation in force before the first network device is
// set up. Firewalls that begin by throwing away all rules come before it. A PC that
// never was isolated has none of the files, and starts nothing here. ExecStopPost runs
// also when the program crashed or was killed, and what comes after the unit waits for it.
const isolationUnit = `[Unit]
Description=Hozen: keeps an isolated PC isolated from the first moment of a start
DefaultDependencies=no
After=local-fs.target nftables.service ufw.service firewalld.service netfilter-persistent.service
Before=network-pre.target
Wants=network-pre.target
ConditionPathExists=|@STATE@/isolation/isolation.marker
ConditionPathExists=|@STATE@/isolation/isolation.record

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=@EXEC@
ExecStopPost=@CUT@
TimeoutStartSec=30
TimeoutStopSec=10
CapabilityBoundingSet=CAP_NET_ADMIN
` + confined + `
[Install]
WantedBy=sysinit.target
`

// confined is what all units have in common; see agentUnit for the reasons.
const confined = `StateDirectory=hozen
StateDirectoryMode=0700
UMask=0077
LimitNOFILE=65536
LimitCORE=0
OOMScoreAdjust=-500
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=~@cpu-emulation @module @mount @obsolete @raw-io @reboot @swap
SystemCallErrorNumber=EPERM
KeyringMode=private
`

// ownProc lets the agent make a /proc that is mounted nowhere, to see what is mounted over
// parts of the PC's. It stands behind the filter of confined and takes these calls out of
// what that denies; in front it would allow nothing else (systemd.exec(5)). To mount
// anything anywhere still takes calls that stay denied.
const ownProc = `SystemCallFilter=fsopen fsconfig fsmount
`

// commandLine spells the command line of a verb with the paths of the installation.
func (c Config) commandLine(verb ...string) string {
	words := []string{quote(c.Executable)}
	for _, a := range append(verb, c.Paths.options()...) {
		words = append(words, quote(a))
	}
	return strings.Join(words, " ")
}

// quote spells one word of a command line (systemd.service(5), "COMMAND LINES").
func quote(s string) string {
	s = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%", "$", "$$", "\n", `\n`).Replace(s)
	if s != "" && !strings.ContainsAny(s, " \t'\"\\;") {
		return s
	}
	return `"` + s + `"`
}

// unquote splits a command line that was spelt by quote.
func unquote(line string) []string {
	var words []string
	var word strings.Builder
	begun, quoted := false, false
	for i := 0; i < len(line); i++ {
		ch := line[i]
		next := byte(0)
		if i+1 < len(line) {
			next = line[i+1]
		}
		switch {
		case ch == '\\' && next != 0:
			if i++; next == 'n' {
				next = '\n'
			}
			word.WriteByte(next)
		case (ch == '%' || ch == '$') && next == ch:
			i++
			word.WriteByte(ch)
		case ch == '"':
			quoted, begun = !quoted, true
			continue
		case ch == ' ' && !quoted:
			if begun {
				words = append(words, word.String())
				word.Reset()
			}
			begun = false
			continue
		default:
			word.WriteByte(ch)
		}
		begun = true
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}

// escapePath spells a path outside a command line, where only specifiers count.
func escapePath(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// pathsIn finds the paths in the text of a unit of the agent, of whatever version.
func pathsIn(unit string) (p Paths, found bool) {
	for line := range strings.Lines(unit) {
		exec, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecStart=")
		if !ok {
			continue
		}
		words := unquote(exec)
		for i, w := range words {
			if i+1 == len(words) {
				break
			}
			switch w {
			case "--config":
				p.Config = words[i+1]
			case "--state":
				p.State = words[i+1]
			case "--socket":
				p.Socket = words[i+1]
			}
		}
		return p, true
	}
	return Paths{}, false
}
