package netfilter

// place is a key of the registry with rules of the firewall of Windows ([MS-GPFAS], 2.2.2), and
// whose they are.
type place struct{ table, key string }

func places() []place {
	return []place{
		{"local", policyKey + `\FirewallRules`},
		{"group_policy", `SOFTWARE\Policies\Microsoft\WindowsFirewall\FirewallRules`},
		{"device_management", policyKey + `\Mdm\FirewallRules`},
		{"services", policyKey + `\RestrictedServices\Configurable\System`},
		{"windows_services", policyKey + `\RestrictedServices\Static\System`},
		{"apps", policyKey + `\RestrictedServices\AppIso\FirewallRules`},
	}
}

// profilePlaces are the keys with what counts where no rule does.
func profilePlaces() []place {
	var list []place
	for _, p := range []string{"DomainProfile", "StandardProfile", "PublicProfile"} {
		list = append(list, place{"local", policyKey + `\` + p})
	}
	for _, p := range []string{"DomainProfile", "PrivateProfile", "PublicProfile"} {
		list = append(list, place{"group_policy", `SOFTWARE\Policies\Microsoft\WindowsFirewall\` + p})
	}
	return list
}
