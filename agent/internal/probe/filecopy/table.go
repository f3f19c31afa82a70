package filecopy

import (
	"strconv"
	"strings"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// Row is one line of the table of what is copied.
type Row struct {
	Class string
	// Pattern is relative to the root, to each home where it begins with "~/", or to each
	// place where a file system is mounted where it begins with "@/". In its parts "*" and
	// "?" stand for other bytes; "**" at its end is everything below. Several have blanks
	// between them.
	Pattern string
	// Max bounds a file and All the row, in bytes.
	Max, All int64
	// End keeps the end of a longer file and not its start; the copy begins a multiple of
	// Unit bytes behind the file's start.
	End  bool
	Unit int64
	// Names has the names told, of folders too, and nothing copied.
	Names bool
	// Private is what a person would not expect an administrator to read.
	Private bool
	Why     string
}

const (
	kib = 1 << 10
	mib = 1 << 20
)

// part is what one kind copies.
type part struct {
	kind   artifact.Kind
	schema string
	rows   []*Row
	// all bounds what is copied by all rows, in bytes.
	all int64
}

// partOf returns what a kind copies; nil when it is none that does.
func partOf(kind artifact.Kind) *part {
	switch kind {
	case artifact.KindLogFile:
		return &part{kind, record.SchemaLogFile, parse(logs), 160 * mib}
	case artifact.KindHistory:
		return &part{kind, record.SchemaHistory, parse(histories), 32 * mib}
	case artifact.KindStartFile:
		return &part{kind, record.SchemaStartFile, parse(starters), 32 * mib}
	case artifact.KindUserFile:
		return &part{kind, record.SchemaUserFile, parse(users), 128 * mib}
	case artifact.KindBackup:
		return &part{kind, record.SchemaBackup, parse(backups), 1}
	}
	return nil
}

// parse reads a table. A line is a row: the class, the most bytes of a file and of all (in
// KiB), what is kept of a longer file, patterns, and behind "#" what it is good for. Kept is
// start, end, end of whole records of so many bytes, or names alone; with "!" before it the
// row is private. (A table of composite literals takes several times as much of the
// program.)
func parse(table string) (rows []*Row) {
	for _, line := range strings.Split(table, "\n") {
		what, why, ok := strings.Cut(strings.TrimSpace(line), " # ")
		if !ok {
			continue
		}
		f := strings.Fields(what)
		r := &Row{Class: f[0], Max: number(f[1]) * kib, All: number(f[2]) * kib, Pattern: strings.Join(f[4:], " "), Why: why}
		keep, unit, _ := strings.Cut(f[3], "/")
		keep, r.Private = strings.CutPrefix(keep, "!")
		r.End, r.Names, r.Unit = keep == "end", keep == "names", number(unit)
		rows = append(rows, r)
	}
	return rows
}

func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}

// The records of utmp(5) have 384 bytes.
const logs = `
login    8192  32768 end/384 run/utmp var/log/wtmp var/log/wtmp.? var/log/btmp var/log/btmp.? # sign-ins, failed ones too
login    4096  16384 start   var/log/lastlog var/log/faillog var/log/tallylog var/lib/wtmpdb/* var/lib/lastlog/* var/log/wtmp.db # last sign-in of each account
auth     16384 32768 end     var/log/auth.log* var/log/secure* var/log/sulog var/log/sudo.log* var/log/sssd/* # who became whom
audit    16384 32768 end     var/log/audit/* # the kernel's audit
journal  65536 98304 start   var/log/journal/*/* run/log/journal/*/* # the system's journal
system   16384 49152 end     var/log/syslog* var/log/messages* var/log/kern.log* var/log/daemon.log* var/log/user.log* var/log/debug* var/log/boot.log* var/log/dmesg* var/log/cron* # what services and the kernel said
packages 4096  16384 end     var/log/dpkg.log* var/log/apt/* var/log/alternatives.log* var/log/unattended-upgrades/* var/log/yum.log* var/log/dnf* var/log/zypp/* var/log/pacman.log # what was installed and when
service  8192  32768 end     var/log/nginx/* var/log/apache2/* var/log/httpd/* var/log/samba/* var/log/vsftpd* var/log/xferlog* var/log/openvpn/* var/log/fail2ban.log* var/log/ufw.log* var/log/firewalld* # who came over the network
security 8192  16384 end     var/log/clamav/* var/log/rkhunter.log* var/log/chkrootkit/* var/log/aide/* var/log/suricata/* var/ossec/logs/alerts/* # what security tools said
mail     8192  16384 !end    var/log/mail.log* var/log/maillog* var/log/exim4/* # who wrote to whom
`

const histories = `
shell 4096 16384 end   ~/.bash_history ~/.zsh_history ~/.zhistory ~/.histfile ~/.sh_history ~/.ash_history ~/.history ~/.local/share/fish/fish_history ~/.local/share/powershell/PSReadLine/* # commands that were typed
tool  1024 8192  end   ~/.python_history ~/.mysql_history ~/.psql_history ~/.sqlite_history ~/.rediscli_history ~/.node_repl_history ~/.gdb_history ~/.lesshst ~/.viminfo ~/.wget-hsts # what was typed into tools, and what they opened
ssh   1024 4096  start ~/.ssh/known_hosts* # computers that were connected to
`

const starters = `
preload 512 2048 start etc/ld.so.preload etc/ld.so.conf etc/ld.so.conf.d/* # libraries that are loaded into everything
cron    512 4096 start etc/crontab etc/anacrontab etc/cron.d/* etc/cron.hourly/* etc/cron.daily/* etc/cron.weekly/* etc/cron.monthly/* var/spool/cron/** var/spool/at/** # what starts by the clock
systemd 512 6144 start etc/systemd/*.conf etc/systemd/*.conf.d/* etc/systemd/system*/** etc/systemd/user*/** etc/systemd/nspawn/* run/systemd/system/** run/systemd/transient/** usr/local/lib/systemd/** # units that were made on this PC
systemd_package 64 4096 start usr/lib/systemd/system/** usr/lib/systemd/user/** usr/lib/systemd/system-generators/* # units that packages bring, the newest first
init    512 2048 start etc/rc.local etc/inittab etc/init.d/* etc/init/* etc/rc.d/** etc/xinetd.d/* etc/inetd.conf # what starts with the PC
profile 512 2048 start etc/profile etc/profile.d/* etc/bash.bashrc etc/bashrc etc/environment etc/zsh/* etc/update-motd.d/* # what starts with a shell
profile 256 4096 start ~/.bashrc ~/.bash_profile ~/.bash_login ~/.bash_logout ~/.profile ~/.zshrc ~/.zshenv ~/.zprofile ~/.zlogin ~/.config/fish/config.fish ~/.pam_environment ~/.config/environment.d/* ~/.xprofile ~/.xinitrc ~/.xsession ~/.xsessionrc # what starts with a person's shell or desktop
desktop 256 4096 start etc/xdg/autostart/* ~/.config/autostart/* ~/.config/autostart-scripts/* ~/.config/systemd/user/** ~/.local/share/systemd/user/** # what starts with a person's desktop
ssh     512 4096 start etc/ssh/sshd_config etc/ssh/sshd_config.d/* etc/ssh/ssh_config etc/ssh/ssh_config.d/* etc/ssh/sshrc ~/.ssh/authorized_keys* ~/.ssh/config ~/.ssh/rc ~/.ssh/environment # who may come in, and what starts then
account 1024 4096 start etc/passwd etc/group etc/sudoers etc/sudoers.d/* etc/doas.conf etc/pam.d/* etc/security/access.conf etc/security/limits.conf etc/security/limits.d/* etc/security/pam_env.conf etc/security/namespace.conf etc/security/namespace.d/* etc/security/namespace.init etc/security/time.conf etc/security/group.conf etc/security/faillock.conf etc/security/pwquality.conf etc/nsswitch.conf etc/polkit-1/rules.d/* etc/polkit-1/localauthority/** # accounts and what they may do, without passwords
network 512 2048 start etc/hosts etc/hosts.allow etc/hosts.deny etc/resolv.conf etc/exports etc/samba/smb.conf etc/network/if-*.d/* etc/NetworkManager/dispatcher.d/** etc/dhcp/*.d/* etc/nftables.conf etc/iptables/* # names, shares, filters, and what starts with the network
hook    512 4096 start etc/udev/rules.d/* run/udev/rules.d/* etc/modules etc/modules-load.d/* etc/modprobe.d/* etc/apt/apt.conf.d/* etc/logrotate.d/* etc/initramfs-tools/*.conf etc/initramfs-tools/conf.d/* etc/initramfs-tools/hooks/* etc/initramfs-tools/scripts/** etc/dracut.conf.d/* etc/default/grub etc/dbus-1/system.d/* usr/lib/python3/dist-packages/*.pth usr/local/lib/python3*/dist-packages/*.pth # what starts when something else happens
`

const users = `
browser  65536 65536 !start ~/.mozilla/firefox/*/places.sqlite* ~/snap/firefox/common/.mozilla/firefox/*/places.sqlite* ~/.config/google-chrome/*/History ~/.config/chromium/*/History ~/snap/chromium/common/chromium/*/History ~/.config/microsoft-edge/*/History ~/.config/BraveSoftware/Brave-Browser/*/History # pages and downloads
recent   4096 16384 !start ~/.local/share/recently-used.xbel ~/.local/share/Trash/info/* ~/.local/share/RecentDocuments/* # files that were opened or thrown away
password 1024 2048  !start etc/shadow etc/gshadow etc/security/opasswd # when passwords were changed; holds their hashes
boot     512  1024  !start etc/grub.d/* # what the menu of the start is made of; may hold a password's hash
network  512  2048  !start etc/network/interfaces etc/network/interfaces.d/* etc/systemd/network/** # networks, and what starts with them; may hold their keys
`

const backups = `
snapshot 0 0 names @/.snapshots/* @/.zfs/snapshot/* @/timeshift/snapshots/* @/timeshift-btrfs/snapshots/* @/btrbk_snapshots/* @/.btrfs/snapshot/* @/#snapshot/* # snapshots of file systems
volume   0 0 names etc/lvm/backup/* etc/lvm/archive/* # what logical volumes there were
dump     0 0 names var/backups/* var/lib/vz/dump/* backup/* backups/* # copies
program  0 0 names etc/timeshift* etc/snapper/configs/* etc/btrbk/* etc/sanoid/* etc/rsnapshot.conf var/cache/rsnapshot/* etc/restic* ~/.cache/restic/* etc/borgmatic* ~/.config/borg* ~/.cache/borg/* ~/.cache/duplicity/* ~/.cache/deja-dup/* ~/.config/kopia* ~/.config/rclone* ~/.duplicacy* etc/bacula* var/lib/bacula/* etc/bareos* var/lib/bareos/* etc/amanda* var/lib/amanda/* etc/BackupPC* var/lib/backuppc/* etc/urbackup* var/urbackup/* etc/veeam* var/lib/veeam/* var/lib/Acronis/* opt/commvault* usr/openv* opt/tivoli/tsm* etc/tarsnap.conf etc/proxmox-backup/* # programs that make copies, and when they last did
`
