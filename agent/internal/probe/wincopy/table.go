package wincopy

import (
	"strconv"
	"strings"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// row is one line of the table of what is copied.
type row struct {
	class string
	// patterns begin with a place: W\ the folder of Windows, D\ that of the programs' data, C\
	// the drive of Windows, ~\ each person's, H\ a hive of the registry, U\ the USN journal of a
	// volume. "*" stands for other
	// characters of a name; "**" at the end is everything below.
	patterns []string
	max, all int64 // bytes of a file, of the row
	names    bool  // only names are told
	end      bool  // of a longer file the end is kept
	private  bool
	why      string
}

const (
	kib = 1 << 10
	mib = 1 << 20
)

// part is what one kind copies.
type part struct {
	kind   artifact.Kind
	schema string
	rows   []row
	all    int64
}

// partOf returns what a kind copies; nil when it is none that does.
func partOf(kind artifact.Kind) *part {
	switch kind {
	case artifact.KindLogFile:
		return &part{kind, record.SchemaLogFile, parse(logs), 256 * mib}
	case artifact.KindHistory:
		return &part{kind, record.SchemaHistory, parse(histories), 32 * mib}
	case artifact.KindStartFile:
		return &part{kind, record.SchemaStartFile, parse(starters), 384 * mib}
	case artifact.KindUserFile:
		return &part{kind, record.SchemaUserFile, parse(users), 256 * mib}
	case artifact.KindBackup:
		return &part{kind, record.SchemaBackup, parse(backups), 1}
	}
	return nil
}

// parse reads a table. A line is a row: the class, the most KiB of a file and of all, what is
// kept (start, end, or names alone; with "!" before it the row is private), patterns parted by ";",
// and behind "#" what it is good for.
func parse(table string) (rows []row) {
	for line := range strings.Lines(table) {
		what, why, ok := strings.Cut(strings.TrimSpace(line), " # ")
		if !ok {
			continue
		}
		f := strings.SplitN(strings.Join(strings.Fields(what), " "), " ", 5)
		r := row{class: f[0], max: number(f[1]) * kib, all: number(f[2]) * kib, why: why}
		keep, private := strings.CutPrefix(f[3], "!")
		r.private, r.names, r.end = private, keep == "names", keep == "end"
		for p := range strings.SplitSeq(f[4], ";") {
			r.patterns = append(r.patterns, strings.TrimSpace(p))
		}
		rows = append(rows, r)
	}
	return rows
}

func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}

const logs = `
security 131072 131072 end   W\System32\winevt\Logs\Security.evtx # sign-ins, and what was allowed and refused
system   65536  65536  end   W\System32\winevt\Logs\System.evtx; W\System32\winevt\Logs\Application.evtx # services, starts and ends of the system, programs
shell    65536  65536  end   W\System32\winevt\Logs\Windows PowerShell.evtx; W\System32\winevt\Logs\Microsoft-Windows-PowerShell%4Operational.evtx; W\System32\winevt\Logs\PowerShellCore%4Operational.evtx # scripts that ran
events   20480  131072 end   W\System32\winevt\Logs\Microsoft-Windows-Sysmon%4Operational.evtx; W\System32\winevt\Logs\Microsoft-Windows-TaskScheduler%4*.evtx; W\System32\winevt\Logs\Microsoft-Windows-TerminalServices-*.evtx; W\System32\winevt\Logs\Microsoft-Windows-Windows Defender%4*.evtx; W\System32\winevt\Logs\Microsoft-Windows-WMI-Activity%4*.evtx; W\System32\winevt\Logs\Microsoft-Windows-SMB*.evtx; W\System32\winevt\Logs\Microsoft-Windows-Bits-Client%4*.evtx; W\System32\winevt\Logs\Microsoft-Windows-WinRM%4*.evtx; W\System32\winevt\Logs\Microsoft-Windows-Windows Firewall With Advanced Security%4*.evtx; W\System32\winevt\Logs\Microsoft-Windows-CodeIntegrity%4*.evtx; W\System32\winevt\Logs\Microsoft-Windows-AppLocker%4*.evtx # tasks, remote desktops, Defender, WMI, shares, downloads
defender 8192   16384  end   D\Microsoft\Windows Defender\Support\*.log # what Defender found and did
firewall 16384  32768  end   W\System32\LogFiles\Firewall\*.log; W\System32\LogFiles\Firewall\*.log.old # connections that the firewall wrote down
device   16384  16384  end   W\INF\setupapi.dev*.log # devices that were plugged in
usn      32768  32768  !start U\C: # what was made, renamed and deleted on the drive of Windows, and when
server   8192   32768  end   C\inetpub\logs\LogFiles\**; W\System32\LogFiles\HTTPERR\* # who came over the network
`

const histories = `
shell 4096 16384 end   ~\AppData\Roaming\Microsoft\Windows\PowerShell\PSReadLine\* # commands that were typed
ssh   1024 4096  start ~\.ssh\known_hosts* # computers that were connected to
`

const starters = `
task     512    16384  start W\System32\Tasks\**; W\SysWOW64\Tasks\**; W\Tasks\** # what starts by the clock or by an event
startup  1024   8192   start D\Microsoft\Windows\Start Menu\Programs\Startup\*; ~\AppData\Roaming\Microsoft\Windows\Start Menu\Programs\Startup\* # what starts when somebody signs in
prefetch 1024   65536  start W\Prefetch\*.pf # programs that ran, and when
amcache  65536  65536  start W\AppCompat\Programs\Amcache.hve*; W\AppCompat\Programs\RecentFileCache.bcf # programs that there were, with digests
srum     131072 131072 start W\System32\sru\SRUDB.dat; W\System32\sru\*.log # what programs sent and received, for weeks
hive     131072 196608 start H\SYSTEM; H\SOFTWARE # settings of the system, what starts, devices
wmi      65536  65536  start W\System32\wbem\Repository\OBJECTS.DATA; W\System32\wbem\Repository\INDEX.BTR; W\System32\wbem\Repository\MAPPING*.MAP # events that start something
policy   1024   8192   start W\System32\GroupPolicy\**; W\System32\drivers\etc\* # what the organisation sets and starts; names of computers
powershell 512  2048   start W\System32\WindowsPowerShell\v1.0\profile.ps1; W\System32\WindowsPowerShell\v1.0\Microsoft.PowerShell_profile.ps1; ~\Documents\WindowsPowerShell\*profile.ps1; ~\Documents\PowerShell\*profile.ps1 # what starts with a shell
bits     32768  32768  start D\Microsoft\Network\Downloader\qmgr.db # downloads in the background
`

const users = `
hive     65536 65536  !start H\SAM; H\SECURITY # accounts; holds their hashes
people   65536 131072 !start H\people # settings of those who are signed in: files opened, programs run
browser  65536 131072 !start ~\AppData\Local\Google\Chrome\User Data\*\History; ~\AppData\Local\Microsoft\Edge\User Data\*\History; ~\AppData\Local\BraveSoftware\Brave-Browser\User Data\*\History; ~\AppData\Roaming\Mozilla\Firefox\Profiles\*\places.sqlite* # pages and downloads
recent   1024  16384  !start ~\AppData\Roaming\Microsoft\Windows\Recent\**; C\$Recycle.Bin\*\$I* # files that were opened or thrown away
`

const backups = `
image    0 0 names C\WindowsImageBackup\*; C\WindowsImageBackup\*\* # copies of the system
history  0 0 names ~\AppData\Local\Microsoft\Windows\FileHistory\**; D\Microsoft\Windows\FileHistory\* # copies of files, and when they were made
program  0 0 names D\Veeam\*; D\Acronis\*; D\Macrium\*; D\restic\*; D\AOMEI*; D\EaseUS*; D\UrBackup\*; C\Program Files\Veeam\*; C\Program Files\Acronis\*; C\Program Files\UrBackup\* # programs that make copies
`
