// Package bpf is the probe of what eBPF is in the kernel: programs, maps, and links, by
// which programs are attached. It knows nothing of what a program does.
//
// What evidence: a line per program with its kind, name, tag, time and user of loading and
// its maps; a line per map; a line per link with what it attaches; a line per
// program that an interface runs by XDP or tc(8). Rootkits of today hide
// in such programs, and monitors work by them.
//
// Source of truth: Linux: bpf(2), the commands BPF_*_GET_NEXT_ID, *_GET_FD_BY_ID and
// BPF_OBJ_GET_INFO_BY_FD; rtnetlink(7), RTM_GETLINK with IFLA_XDP, RTM_GETQDISC and
// RTM_GETTFILTER. Windows: not yet.
//
// Privileges: CAP_SYS_ADMIN.
//
// Footprint: a descriptor of each, closed at once. Instructions and contents of maps are
// not read.
//
// Volatility: Presence.
//
// Blind spots: attachments without a link to cgroups and perf events, and programs that are
// actions of other filters; interfaces of other network namespaces, of which links are told; a
// program that hooks bpf(2) itself hides others and itself.
package bpf
