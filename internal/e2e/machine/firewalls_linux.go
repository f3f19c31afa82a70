package machine

import "slices"

// firewallSetup leaves every firewall installed and none of them running.
const firewallSetup = `
for unit in nftables ufw firewalld docker.socket docker containerd; do
	if [ -e "$1/lib/systemd/system/${unit%.socket}.service" ]; then chroot "$1" systemctl --quiet disable "$unit"; fi
done`

// Firewalls adds what looks after a PC's packet filter to a release: nftables.service,
// iptables (both kinds), ufw and firewalld. None of them runs before it is started.
func Firewalls(r Recipe) Recipe {
	r.Packages = append(slices.Clone(r.Packages), "nftables", "iptables", "ufw", "firewalld")
	r.Setup += firewallSetup
	return r
}

// Docker adds Docker to [Firewalls].
func Docker(r Recipe) Recipe {
	r.Packages = append(slices.Clone(r.Packages), "docker.io")
	return Firewalls(r)
}

// VirtualFirewalls is Debian 12 with them and with its kernel for virtual machines.
func VirtualFirewalls() Recipe { return virtual(Firewalls(Bookworm())) }
