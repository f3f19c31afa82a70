// Package netfilter is the probes of the packet filter: its rules, and the connections
// that it follows. It knows nothing of what isolation makes of either.
//
// What evidence: netfilter: every table, chain, rule, set with its elements, object and
// flow table of nf_tables, decoded as far as a reader looks first and whole as the kernel
// sent it; the names of the tables of legacy iptables. conntrack: every tracked
// connection with its translation (NAT), also what others send through this PC.
//
// Source of truth: Linux: netlink, NFNL_SUBSYS_NFTABLES and NFNL_SUBSYS_CTNETLINK
// (linux/netfilter), /proc/net/{ip,ip6,arp}_tables_names. Windows: not yet.
//
// Privileges: CAP_NET_ADMIN.
//
// Footprint: asking makes a kernel load the module that answers, so it is asked only
// where that module is there already.
//
// Volatility: Presence.
//
// Blind spots: other network namespaces; the rules of legacy iptables, whose form needs
// getsockopt(2) of each table; programs of eBPF at tc and XDP, which are of package bpf.
// A kernel module can hook in without a rule.
package netfilter
