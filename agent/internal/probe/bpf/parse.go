package bpf

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"hozen/internal/artifact/record"
)

const (
	// infoSize holds struct bpf_prog_info, bpf_map_info and bpf_link_info of kernels to
	// come: they fill in what they know, and leave the rest 0.
	infoSize = 512
	maxMaps  = 256
)

// The places in struct bpf_prog_info (linux/bpf.h), which only grows at its end.
const (
	progKind, progTag, progXlated  = 0, 8, 20
	progLoaded, progUID, progMaps  = 40, 48, 52
	progMapIDs, progName, progLink = 56, 64, 80
	progGPL, progRunNS, progRuns   = 84, 192, 200
)

// field reads a number of n bytes; beyond what the kernel told it is 0.
func field(b []byte, at, n int) uint64 {
	if len(b) < at+n {
		return 0
	}
	if n == 8 {
		return binary.NativeEndian.Uint64(b[at:])
	}
	return uint64(binary.NativeEndian.Uint32(b[at:]))
}

func mapCount(b []byte) int { return int(field(b, progMaps, 4)) }

// askMaps says in an empty bpf_prog_info where n identifiers of maps go.
func askMaps(b []byte, n int, address uint64) {
	binary.NativeEndian.PutUint32(b[progMaps:], uint32(n))
	binary.NativeEndian.PutUint64(b[progMapIDs:], address)
}

func identifiers(b []byte, n int) (ids []int64) {
	for i := range min(n, len(b)/4) {
		ids = append(ids, int64(field(b, 4*i, 4)))
	}
	return ids
}

func parseProgram(b []byte) record.BPF {
	p := record.BPF{
		Type: record.BPFProgram, Kind: name(programKinds(), field(b, progKind, 4)), UID: int64(field(b, progUID, 4)), GPL: field(b, progGPL, 4)&1 != 0,
		LoadedNS: field(b, progLoaded, 8), Length: uint32(field(b, progXlated, 4)), Device: uint32(field(b, progLink, 4)),
		RunNS: field(b, progRunNS, 8), Runs: field(b, progRuns, 8),
	}
	if len(b) >= progTag+8 {
		p.Tag = hex.EncodeToString(b[progTag : progTag+8])
	}
	p.Name, p.NameRaw = label(b, progName)
	return p
}

func parseMap(b []byte) record.BPF {
	p := record.BPF{
		Type: record.BPFMap, Kind: name(mapKinds(), field(b, 0, 4)), Key: uint32(field(b, 8, 4)), Value: uint32(field(b, 12, 4)),
		Entries: uint32(field(b, 16, 4)), Flags: uint32(field(b, 20, 4)), Device: uint32(field(b, 40, 4)), UID: record.Unknown,
	}
	p.Name, p.NameRaw = label(b, 24)
	return p
}

func parseLink(b []byte) record.BPF {
	p := record.BPF{
		Type: record.BPFLink, Kind: name(linkKinds(), field(b, 0, 4)), Program: uint32(field(b, 8, 4)), UID: record.Unknown,
		Raw: append([]byte(nil), b...),
	}
	switch p.Kind { // what follows has the form of the kind
	case "tcx":
		switch field(b, 20, 4) {
		case 46: // BPF_TCX_INGRESS
			p.Hook = hookIn
		case 47: // BPF_TCX_EGRESS
			p.Hook = hookOut
		}
		fallthrough
	case "xdp", "netkit":
		p.Device = uint32(field(b, 16, 4))
	}
	return p
}

// label reads a name of at most 16 bytes.
func label(b []byte, at int) (string, []byte) {
	if len(b) < at+16 {
		return "", nil
	}
	v, _, _ := bytes.Cut(b[at:at+16], []byte{0})
	return record.Text(v)
}

func name(names []string, n uint64) string {
	if n < uint64(len(names)) {
		return names[n]
	}
	return strconv.FormatUint(n, 10)
}

// programKinds is enum bpf_prog_type.
func programKinds() []string {
	return []string{"unspec", "socket_filter", "kprobe", "sched_cls", "sched_act", "tracepoint", "xdp", "perf_event", "cgroup_skb", "cgroup_sock",
		"lwt_in", "lwt_out", "lwt_xmit", "sock_ops", "sk_skb", "cgroup_device", "sk_msg", "raw_tracepoint", "cgroup_sock_addr", "lwt_seg6local",
		"lirc_mode2", "sk_reuseport", "flow_dissector", "cgroup_sysctl", "raw_tracepoint_writable", "cgroup_sockopt", "tracing", "struct_ops", "ext", "lsm",
		"sk_lookup", "syscall", "netfilter"}
}

// mapKinds is enum bpf_map_type.
func mapKinds() []string {
	return []string{"unspec", "hash", "array", "prog_array", "perf_event_array", "percpu_hash", "percpu_array", "stack_trace", "cgroup_array", "lru_hash",
		"lru_percpu_hash", "lpm_trie", "array_of_maps", "hash_of_maps", "devmap", "sockmap", "cpumap", "xskmap", "sockhash", "cgroup_storage",
		"reuseport_sockarray", "percpu_cgroup_storage", "queue", "stack", "sk_storage", "devmap_hash", "struct_ops", "ringbuf", "inode_storage", "task_storage",
		"bloom_filter", "user_ringbuf", "cgrp_storage", "arena"}
}

// linkKinds is enum bpf_link_type.
func linkKinds() []string {
	return []string{"unspec", "raw_tracepoint", "tracing", "cgroup", "iter", "netns", "xdp", "perf_event", "kprobe_multi", "struct_ops", "netfilter", "tcx", "uprobe_multi", "netkit", "sockmap"}
}
