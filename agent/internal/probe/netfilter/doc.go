// Package netfilter is the probes of the packet filter: its rules, and the connections
// that it follows. It knows nothing of what isolation makes of either.
//
// What evidence: netfilter: every table, chain, rule, set with its elements, object and
// flow table of nf_tables, decoded as far as a reader looks first and whole as the kernel
// sent it; the chains and rules of legacy iptables and ip6tables, decoded but for most
// matches and targets, which are named, and whole; the names of arptables' tables.
// conntrack: every tracked connection with its translation (NAT), also what others send
// through this PC.
//
// Source of truth: Linux: netlink, NFNL_SUBSYS_NFTABLES and NFNL_SUBSYS_CTNETLINK
// (linux/netfilter), /proc/net/{ip,ip6,arp}_tables_names, getsockopt(2) with
// IPT_SO_GET_INFO and IPT_SO_GET_ENTRIES. Windows: the rules and profiles of its firewall in the
// registry ([MS-GPFAS]), and every filter of the Windows Filtering Platform (FwpmFilterEnum0).
//
// Privileges: CAP_NET_ADMIN; on Windows an administrator for the platform's filters.
//
// Footprint: asking makes a kernel load the module that answers, so it is asked only
// where that module is there already, and of iptables only for tables that are in use.
//
// Volatility: Presence.
//
// Blind spots: other network namespaces; the rules of arptables; programs of eBPF at tc
// and XDP, which are of package bpf. A kernel module can hook in without a rule.
package netfilter
