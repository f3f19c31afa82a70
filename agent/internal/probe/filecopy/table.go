package filecopy

import (
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// Row is one line of the table of what is copied.
type Row struct {
	Class string
	// Pattern is relative to the root, or to each home where it begins with "~/". Its parts
	// are matched as path.Match does; "**" at its end is everything below. Each of several
	// alternatives stands in a pattern of its own, separated by blanks.
	Pattern string
	// Max bounds a file and All the row, in bytes.
	Max, All int64
	// End keeps the end of a longer file and not its start, a multiple of Unit bytes before
	// the end.
	End  bool
	Unit int64
	// Private is what a person would not expect an administrator to read.
	Private bool
	Why     string
}

// part is what one kind copies.
type part struct {
	kind   artifact.Kind
	schema string
	rows   []Row
	// all bounds what is copied by all rows, in bytes.
	all int64
}

const (
	kib = 1 << 10
	mib = 1 << 20
	// utmp is the size of a record of utmp(5).
	utmp = 384
)

// parts is the whole table.
func parts() []part {
	return []part{
		{artifact.KindLogFile, record.SchemaLogFile, logRows(), 160 * mib},
		{artifact.KindHistory, record.SchemaHistory, historyRows(), 32 * mib},
		{artifact.KindStartFile, record.SchemaStartFile, startRows(), 32 * mib},
		{artifact.KindUserFile, record.SchemaUserFile, userRows(), 128 * mib},
	}
}

func logRows() []Row {
	return []Row{
		{Class: "login", Pattern: "run/utmp var/log/wtmp var/log/wtmp.[0-9] var/log/btmp var/log/btmp.[0-9]", Max: 8 * mib, All: 32 * mib, End: true, Unit: utmp, Why: "sign-ins, failed ones too"},
		{Class: "login", Pattern: "var/log/lastlog var/log/faillog var/log/tallylog var/lib/wtmpdb/* var/lib/lastlog/* var/log/wtmp.db", Max: 4 * mib, All: 16 * mib, Why: "last sign-in of each account"},
		{Class: "auth", Pattern: "var/log/auth.log* var/log/secure* var/log/sulog var/log/sudo.log* var/log/sssd/*", Max: 16 * mib, All: 32 * mib, End: true, Why: "who became whom"},
		{Class: "audit", Pattern: "var/log/audit/*", Max: 16 * mib, All: 32 * mib, End: true, Why: "the kernel's audit"},
		{Class: "journal", Pattern: "var/log/journal/*/* run/log/journal/*/*", Max: 64 * mib, All: 96 * mib, Why: "the system's journal"},
		{Class: "system", Pattern: "var/log/syslog* var/log/messages* var/log/kern.log* var/log/daemon.log* var/log/user.log* var/log/debug* var/log/boot.log* var/log/dmesg* var/log/cron*", Max: 16 * mib, All: 48 * mib, End: true, Why: "what services and the kernel said"},
		{Class: "packages", Pattern: "var/log/dpkg.log* var/log/apt/* var/log/alternatives.log* var/log/unattended-upgrades/* var/log/yum.log* var/log/dnf* var/log/zypp/* var/log/pacman.log", Max: 4 * mib, All: 16 * mib, End: true, Why: "what was installed and when"},
		{Class: "service", Pattern: "var/log/nginx/* var/log/apache2/* var/log/httpd/* var/log/samba/* var/log/vsftpd* var/log/xferlog* var/log/openvpn/* var/log/fail2ban.log* var/log/ufw.log* var/log/firewalld*", Max: 8 * mib, All: 32 * mib, End: true, Why: "who came over the network"},
		{Class: "security", Pattern: "var/log/clamav/* var/log/rkhunter.log* var/log/chkrootkit/* var/log/aide/* var/log/suricata/* var/ossec/logs/alerts/*", Max: 8 * mib, All: 16 * mib, End: true, Why: "what security tools said"},
		{Class: "mail", Pattern: "var/log/mail.log* var/log/maillog* var/log/exim4/*", Max: 8 * mib, All: 16 * mib, End: true, Private: true, Why: "who wrote to whom"},
	}
}

func historyRows() []Row {
	return []Row{
		{Class: "shell", Pattern: "~/.bash_history ~/.zsh_history ~/.zhistory ~/.histfile ~/.sh_history ~/.ash_history ~/.history ~/.local/share/fish/fish_history ~/.local/share/powershell/PSReadLine/*", Max: 4 * mib, All: 16 * mib, End: true, Why: "commands that were typed"},
		{Class: "tool", Pattern: "~/.python_history ~/.mysql_history ~/.psql_history ~/.sqlite_history ~/.rediscli_history ~/.node_repl_history ~/.gdb_history ~/.lesshst ~/.viminfo ~/.wget-hsts", Max: mib, All: 8 * mib, End: true, Why: "what was typed into tools, and what they opened"},
		{Class: "ssh", Pattern: "~/.ssh/known_hosts*", Max: mib, All: 4 * mib, Why: "computers that were connected to"},
	}
}

func startRows() []Row {
	const most = 512 * kib
	return []Row{
		{Class: "preload", Pattern: "etc/ld.so.preload etc/ld.so.conf etc/ld.so.conf.d/*", Max: most, All: 2 * mib, Why: "libraries that are loaded into everything"},
		{Class: "cron", Pattern: "etc/crontab etc/anacrontab etc/cron.d/* etc/cron.hourly/* etc/cron.daily/* etc/cron.weekly/* etc/cron.monthly/* var/spool/cron/** var/spool/at/**", Max: most, All: 4 * mib, Why: "what starts by the clock"},
		{Class: "systemd", Pattern: "etc/systemd/** run/systemd/system/** run/systemd/transient/** usr/local/lib/systemd/**", Max: most, All: 6 * mib, Why: "units that were made on this PC"},
		{Class: "systemd_package", Pattern: "usr/lib/systemd/system/** usr/lib/systemd/user/** usr/lib/systemd/system-generators/*", Max: 64 * kib, All: 4 * mib, Why: "units that packages bring, the newest first"},
		{Class: "init", Pattern: "etc/rc.local etc/inittab etc/init.d/* etc/init/* etc/rc.d/** etc/xinetd.d/* etc/inetd.conf", Max: most, All: 2 * mib, Why: "what starts with the PC"},
		{Class: "profile", Pattern: "etc/profile etc/profile.d/* etc/bash.bashrc etc/bashrc etc/environment etc/zsh/* etc/update-motd.d/*", Max: most, All: 2 * mib, Why: "what starts with a shell"},
		{Class: "profile", Pattern: "~/.bashrc ~/.bash_profile ~/.bash_login ~/.bash_logout ~/.profile ~/.zshrc ~/.zshenv ~/.zprofile ~/.zlogin ~/.config/fish/config.fish ~/.pam_environment ~/.config/environment.d/* ~/.xprofile ~/.xinitrc ~/.xsession ~/.xsessionrc", Max: 256 * kib, All: 4 * mib, Why: "what starts with a person's shell or desktop"},
		{Class: "desktop", Pattern: "etc/xdg/autostart/* ~/.config/autostart/* ~/.config/autostart-scripts/* ~/.config/systemd/user/** ~/.local/share/systemd/user/**", Max: 256 * kib, All: 4 * mib, Why: "what starts with a person's desktop"},
		{Class: "ssh", Pattern: "etc/ssh/sshd_config etc/ssh/sshd_config.d/* etc/ssh/ssh_config etc/ssh/ssh_config.d/* etc/ssh/sshrc ~/.ssh/authorized_keys* ~/.ssh/config ~/.ssh/rc ~/.ssh/environment", Max: most, All: 4 * mib, Why: "who may come in, and what starts then"},
		{Class: "account", Pattern: "etc/passwd etc/group etc/sudoers etc/sudoers.d/* etc/doas.conf etc/pam.d/* etc/security/* etc/nsswitch.conf etc/polkit-1/rules.d/* etc/polkit-1/localauthority/**", Max: mib, All: 4 * mib, Why: "accounts and what they may do, without passwords"},
		{Class: "network", Pattern: "etc/hosts etc/hosts.allow etc/hosts.deny etc/resolv.conf etc/exports etc/samba/smb.conf etc/network/** etc/NetworkManager/dispatcher.d/** etc/dhcp/*.d/* etc/nftables.conf etc/iptables/*", Max: most, All: 2 * mib, Why: "names, shares, filters, and what starts with the network"},
		{Class: "hook", Pattern: "etc/udev/rules.d/* run/udev/rules.d/* etc/modules etc/modules-load.d/* etc/modprobe.d/* etc/apt/apt.conf.d/* etc/logrotate.d/* etc/initramfs-tools/** etc/dracut.conf.d/* etc/default/grub etc/grub.d/* etc/dbus-1/system.d/* usr/lib/python3/dist-packages/*.pth usr/local/lib/python3*/dist-packages/*.pth", Max: most, All: 4 * mib, Why: "what starts when something else happens"},
	}
}

func userRows() []Row {
	const most = 64 * mib
	return []Row{
		{Class: "browser", Pattern: "~/.mozilla/firefox/*/places.sqlite* ~/snap/firefox/common/.mozilla/firefox/*/places.sqlite*", Max: most, All: most, Private: true, Why: "pages and downloads"},
		{Class: "browser", Pattern: "~/.config/google-chrome/*/History ~/.config/chromium/*/History ~/snap/chromium/common/chromium/*/History ~/.config/microsoft-edge/*/History ~/.config/BraveSoftware/Brave-Browser/*/History", Max: most, All: most, Private: true, Why: "pages and downloads"},
		{Class: "recent", Pattern: "~/.local/share/recently-used.xbel ~/.local/share/Trash/info/* ~/.local/share/RecentDocuments/*", Max: 4 * mib, All: 16 * mib, Private: true, Why: "files that were opened or thrown away"},
		{Class: "password", Pattern: "etc/shadow etc/gshadow", Max: mib, All: 2 * mib, Private: true, Why: "when passwords were changed; holds their hashes"},
	}
}
