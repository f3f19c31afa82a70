package security

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

// tools are those that are looked for, by category.
func tools() []tool {
	return []tool{
		{"clamav", "antivirus", []string{"clamd", "freshclam", "clamonacc"}, []string{"clamav-daemon.service", "clamd@scan.service", "clamd.service", "clamav-freshclam.service", "clamav-clamonacc.service"}, []string{"usr/sbin/clamd", "usr/bin/clamscan"}},
		{"eset", "antivirus", nil, []string{"efs.service", "eea.service", "esets.service"}, []string{"opt/eset/"}},
		{"kaspersky", "antivirus", []string{"kesl"}, []string{"kesl.service", "kesl-supervisor.service", "klnagent64.service"}, []string{"opt/kaspersky/"}},
		{"sophos", "antivirus", []string{"savd", "savscand"}, []string{"sophos-spl.service", "sav-protect.service"}, []string{"opt/sophos-spl/", "opt/sophos-av/"}},
		{"trend-micro", "antivirus", []string{"ds_agent", "ds_am", "tmxbc"}, []string{"ds_agent.service", "tmxbc.service"}, []string{"opt/ds_agent/", "opt/TrendMicro/"}},
		{"carbon-black", "edr", []string{"cbagentd", "cbdaemon"}, []string{"cbagentd.service", "cbdaemon.service"}, []string{"opt/carbonblack/", "opt/cbsensor/"}},
		{"cortex-xdr", "edr", []string{"traps_pmd"}, []string{"traps_pmd.service"}, []string{"opt/traps/"}},
		{"elastic", "edr", []string{"elastic-agent", "elastic-endpoin"}, []string{"elastic-agent.service", "ElasticEndpoint.service"}, []string{"opt/Elastic/"}},
		{"falcon-sensor", "edr", []string{"falcon-sensor", "falcon-sensor-b"}, []string{"falcon-sensor.service"}, []string{"opt/CrowdStrike/"}},
		{"mdatp", "edr", []string{"wdavdaemon", "mdatp"}, []string{"mdatp.service"}, []string{"opt/microsoft/mdatp/"}},
		{"ossec", "edr", []string{"ossec-agentd", "ossec-syscheckd", "ossec-execd"}, []string{"ossec.service", "ossec-hids.service"}, []string{"var/ossec/bin/ossec-agentd"}},
		{"osquery", "edr", []string{"osqueryd"}, []string{"osqueryd.service"}, []string{"opt/osquery/", "usr/bin/osqueryd"}},
		{"sentinelone", "edr", []string{"s1-agent", "s1-orchestrator"}, []string{"sentinelone.service"}, []string{"opt/sentinelone/"}},
		{"velociraptor", "edr", []string{"velociraptor", "velociraptor_cl"}, []string{"velociraptor_client.service", "velociraptor.service"}, []string{"usr/local/bin/velociraptor_client", "etc/velociraptor"}},
		{"wazuh-agent", "edr", []string{"wazuh-agentd", "wazuh-execd", "wazuh-syscheckd", "wazuh-modulesd", "wazuh-logcollec"}, []string{"wazuh-agent.service"}, []string{"var/ossec/bin/wazuh-agentd"}},
		{"auditd", "audit", []string{"auditd"}, []string{"auditd.service"}, []string{"usr/sbin/auditd", "sbin/auditd"}},
		{"falco", "audit", []string{"falco"}, []string{"falco.service", "falco-modern-bpf.service", "falco-kmod.service", "falco-bpf.service"}, []string{"usr/bin/falco"}},
		{"sysmon", "audit", []string{"sysmon"}, []string{"sysmon.service"}, []string{"opt/sysmon/"}},
		{"tetragon", "audit", []string{"tetragon"}, []string{"tetragon.service"}, []string{"usr/local/bin/tetragon"}},
		{"fapolicyd", "access", []string{"fapolicyd"}, []string{"fapolicyd.service"}, []string{"usr/sbin/fapolicyd"}},
		{"usbguard", "access", []string{"usbguard-daemon"}, []string{"usbguard.service"}, []string{"usr/sbin/usbguard-daemon"}},
		{"aide", "integrity", []string{"aide"}, []string{"dailyaidecheck.timer", "aidecheck.timer"}, []string{"usr/bin/aide", "usr/sbin/aide"}},
		{"chkrootkit", "integrity", []string{"chkrootkit"}, []string{"chkrootkit.timer"}, []string{"usr/sbin/chkrootkit"}},
		{"rkhunter", "integrity", []string{"rkhunter"}, nil, []string{"usr/bin/rkhunter"}},
		{"samhain", "integrity", []string{"samhain"}, []string{"samhain.service"}, []string{"usr/sbin/samhain"}},
		{"tripwire", "integrity", []string{"tripwire"}, nil, []string{"usr/sbin/tripwire"}},
		{"fail2ban", "firewall", []string{"fail2ban-server"}, []string{"fail2ban.service"}, []string{"usr/bin/fail2ban-server"}},
		{"firewalld", "firewall", []string{"firewalld"}, []string{"firewalld.service"}, []string{"usr/sbin/firewalld"}},
		{"nftables", "firewall", nil, []string{"nftables.service"}, []string{"usr/sbin/nft"}},
		{"ufw", "firewall", nil, []string{"ufw.service"}, []string{"usr/sbin/ufw"}},
		{"snort", "network", []string{"snort"}, []string{"snort.service"}, []string{"usr/sbin/snort"}},
		{"suricata", "network", []string{"Suricata-Main", "suricata"}, []string{"suricata.service"}, []string{"usr/bin/suricata"}},
		{"zeek", "network", []string{"zeek"}, []string{"zeek.service"}, []string{"opt/zeek/"}},
		{"journald", "log", []string{"systemd-journal"}, []string{"systemd-journald.service"}, []string{"usr/lib/systemd/systemd-journald"}},
		{"rsyslog", "log", []string{"rsyslogd"}, []string{"rsyslog.service"}, []string{"usr/sbin/rsyslogd"}},
		{"syslog-ng", "log", []string{"syslog-ng"}, []string{"syslog-ng.service"}, []string{"usr/sbin/syslog-ng"}},
	}
}
