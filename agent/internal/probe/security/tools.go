package security

import "strings"

// tool is what is known of a security tool.
type tool struct {
	name, category string
	// processes are names as the kernel shows them, 15 bytes at most.
	processes []string
	units     []string // of the system manager
	// paths are relative to the root. One that ends with a slash is a folder of this tool
	// alone: what runs from it belongs to the tool.
	paths []string
}

// known are the tools that are looked for, by category: name, category, processes, units
// and paths. It is a text because that takes a tenth of the room of a table in code.
const known = `
clamav|antivirus|clamd,freshclam,clamonacc|clamav-daemon.service,clamd@scan.service,clamd.service,clamav-freshclam.service,clamav-clamonacc.service|usr/sbin/clamd,usr/bin/clamscan,usr/bin/freshclam
eset|antivirus||efs.service,eea.service,esets.service|opt/eset/
kaspersky|antivirus|kesl|kesl.service,kesl-supervisor.service,klnagent64.service|opt/kaspersky/
sophos|antivirus|savd,savscand|sophos-spl.service,sav-protect.service|opt/sophos-spl/,opt/sophos-av/
trend-micro|antivirus|ds_agent,ds_am,tmxbc|ds_agent.service,tmxbc.service|opt/ds_agent/,opt/TrendMicro/
carbon-black|edr|cbagentd,cbdaemon|cbagentd.service,cbdaemon.service|opt/carbonblack/,opt/cbsensor/
cortex-xdr|edr|traps_pmd|traps_pmd.service|opt/traps/
elastic|edr|elastic-agent,elastic-endpoin|elastic-agent.service,ElasticEndpoint.service|opt/Elastic/
falcon-sensor|edr|falcon-sensor,falcon-sensor-b|falcon-sensor.service|opt/CrowdStrike/
mdatp|edr|wdavdaemon,mdatp|mdatp.service|opt/microsoft/mdatp/
ossec|edr|ossec-agentd,ossec-syscheckd,ossec-execd|ossec.service,ossec-hids.service|var/ossec/bin/ossec-agentd
osquery|edr|osqueryd|osqueryd.service|opt/osquery/,usr/bin/osqueryd
sentinelone|edr|s1-agent,s1-orchestrator|sentinelone.service|opt/sentinelone/
velociraptor|edr|velociraptor,velociraptor_cl|velociraptor_client.service,velociraptor.service|usr/local/bin/velociraptor_client,etc/velociraptor
wazuh-agent|edr|wazuh-agentd,wazuh-execd,wazuh-syscheckd,wazuh-modulesd,wazuh-logcollec|wazuh-agent.service|var/ossec/bin/wazuh-agentd
auditd|audit|auditd|auditd.service|usr/sbin/auditd,sbin/auditd
falco|audit|falco|falco.service,falco-modern-bpf.service,falco-kmod.service,falco-bpf.service|usr/bin/falco
sysmon|audit|sysmon|sysmon.service|opt/sysmon/
tetragon|audit|tetragon|tetragon.service|usr/local/bin/tetragon
fapolicyd|access|fapolicyd|fapolicyd.service|usr/sbin/fapolicyd
usbguard|access|usbguard-daemon|usbguard.service|usr/sbin/usbguard-daemon
aide|integrity|aide|dailyaidecheck.timer,aidecheck.timer|usr/bin/aide,usr/sbin/aide
chkrootkit|integrity|chkrootkit|chkrootkit.timer|usr/sbin/chkrootkit
rkhunter|integrity|rkhunter||usr/bin/rkhunter
samhain|integrity|samhain|samhain.service|usr/sbin/samhain
tripwire|integrity|tripwire||usr/sbin/tripwire
fail2ban|firewall|fail2ban-server|fail2ban.service|usr/bin/fail2ban-server
firewalld|firewall|firewalld|firewalld.service|usr/sbin/firewalld
nftables|firewall||nftables.service|usr/sbin/nft
ufw|firewall||ufw.service|usr/sbin/ufw
snort|network|snort|snort.service|usr/sbin/snort
suricata|network|Suricata-Main,suricata|suricata.service|usr/bin/suricata
zeek|network|zeek|zeek.service|opt/zeek/
journald|log|systemd-journal|systemd-journald.service|usr/lib/systemd/systemd-journald
rsyslog|log|rsyslogd|rsyslog.service|usr/sbin/rsyslogd
syslog-ng|log|syslog-ng|syslog-ng.service|usr/sbin/syslog-ng
`

func tools() (list []tool) {
	for _, line := range strings.Split(strings.TrimSpace(known), "\n") {
		f := strings.Split(line, "|")
		t := tool{name: f[0], category: f[1]}
		for i, to := range [...]*[]string{&t.processes, &t.units, &t.paths} {
			if f[2+i] != "" {
				*to = strings.Split(f[2+i], ",")
			}
		}
		list = append(list, t)
	}
	return list
}
