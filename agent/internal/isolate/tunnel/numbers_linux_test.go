package tunnel

import (
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The numbers of attributes that this kernel may not have are those of others' tables.
func TestNumbers(t *testing.T) {
	for name, pair := range map[string][2]int{
		"IFLA_IPTUN_LINK":              {ipLink, nl.IFLA_IPTUN_LINK},
		"IFLA_IPTUN_REMOTE":            {ipRemote, nl.IFLA_IPTUN_REMOTE},
		"IFLA_IPTUN_ENCAP_TYPE":        {ipEncap, nl.IFLA_IPTUN_ENCAP_TYPE},
		"IFLA_IPTUN_COLLECT_METADATA":  {ipExtern, nl.IFLA_IPTUN_COLLECT_METADATA},
		"IFLA_IPTUN_FWMARK":            {ipMark, nl.IFLA_IPTUN_COLLECT_METADATA + 1},
		"IFLA_GRE_LINK":                {greLink, nl.IFLA_GRE_LINK},
		"IFLA_GRE_REMOTE":              {greRemote, nl.IFLA_GRE_REMOTE},
		"IFLA_GRE_ENCAP_TYPE":          {greEncap, nl.IFLA_GRE_ENCAP_TYPE},
		"IFLA_GRE_COLLECT_METADATA":    {greExtern, nl.IFLA_GRE_COLLECT_METADATA},
		"IFLA_VXLAN_GROUP":             {vxGroup, nl.IFLA_VXLAN_GROUP},
		"IFLA_VXLAN_LINK":              {vxLink, nl.IFLA_VXLAN_LINK},
		"IFLA_VXLAN_PORT":              {vxPort, unix.IFLA_VXLAN_PORT},
		"IFLA_VXLAN_GROUP6":            {vxGroup6, nl.IFLA_VXLAN_GROUP6},
		"IFLA_VXLAN_COLLECT_METADATA":  {vxExtern, unix.IFLA_VXLAN_COLLECT_METADATA},
		"IFLA_GENEVE_REMOTE":           {gnRemote, unix.IFLA_GENEVE_REMOTE},
		"IFLA_GENEVE_PORT":             {gnPort, unix.IFLA_GENEVE_PORT},
		"IFLA_GENEVE_COLLECT_METADATA": {gnExtern, unix.IFLA_GENEVE_COLLECT_METADATA},
		"IFLA_GENEVE_REMOTE6":          {gnRemote6, unix.IFLA_GENEVE_REMOTE6},
		"IFLA_LINKINFO":                {iflaLinkInfo, unix.IFLA_LINKINFO},
		"IFLA_LINK":                    {iflaLink, unix.IFLA_LINK},
		"IFLA_LINK_NETNSID":            {iflaNetNSID, unix.IFLA_LINK_NETNSID},
		"RTA_DST":                      {rtaDst, unix.RTA_DST},
		"RTA_OIF":                      {rtaOIF, unix.RTA_OIF},
		"RTA_MARK":                     {rtaMark, unix.RTA_MARK},
		"RTA_ENCAP":                    {rtaEncap, unix.RTA_ENCAP},
		"RTN_LOCAL":                    {rtnLocal, unix.RTN_LOCAL},
		"CTRL_ATTR_FAMILY_ID":          {ctrlFamilyID, unix.CTRL_ATTR_FAMILY_ID},
		"WGDEVICE_A_FWMARK":            {wgMark, unix.WGDEVICE_A_FWMARK},
		"WGDEVICE_A_PEERS":             {wgPeers, unix.WGDEVICE_A_PEERS},
		"WGPEER_A_PUBLIC_KEY":          {wgPeerKey, unix.WGPEER_A_PUBLIC_KEY},
		"WGPEER_A_ENDPOINT":            {wgEndpoint, unix.WGPEER_A_ENDPOINT},
		"WGPEER_A_ALLOWEDIPS":          {wgAllowed, unix.WGPEER_A_ALLOWEDIPS},
		"WGALLOWEDIP_A_IPADDR":         {wgAddress, unix.WGALLOWEDIP_A_IPADDR},
		"WGALLOWEDIP_A_CIDR_MASK":      {wgBits, unix.WGALLOWEDIP_A_CIDR_MASK},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %d, not %d", name, pair[1], pair[0])
		}
	}
}
