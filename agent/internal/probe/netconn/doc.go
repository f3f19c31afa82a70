// Package netconn is the probe of sockets: who talks to whom, and who listens. It
// knows nothing of packets or of interfaces; package scan does the reading.
//
// What evidence: every TCP, UDP, raw, packet and unix socket of every network
// namespace that has a process, with state, addresses, queues, the user who made it
// and the processes that hold it. Sockets that nobody holds any more (TIME_WAIT) are
// there too: they say who was talked to a minute ago.
//
// Source of truth: Linux: NETLINK_SOCK_DIAG (sock_diag(7)), one dump per protocol,
// repeated when the kernel says that it changed meanwhile; other namespaces are
// entered on a thread of its own for as long as it takes to make a netlink socket
// (setns(2)). Where the kernel has no diag for raw or packet sockets, the texts
// /proc/PID/net/{raw,raw6,packet}; "source" in each record says which. Owners are
// from the links of /proc/PID/fd. Windows:
// GetExtendedTcpTable and GetExtendedUdpTable, which tell the owner, the moment of making and
// the service (OWNER_MODULE), else the owner alone (OWNER_PID).
//
// Privileges: none for the sockets of the own namespace. Other namespaces need
// CAP_SYS_ADMIN, owners of other users' sockets CAP_SYS_PTRACE; without them the
// outcome is partial and says how many are missing.
//
// Footprint: a few netlink sockets, closed again. On kernels where the diag parts are
// modules, the first dump loads them (inet_diag, unix_diag, packet_diag, …).
//
// Volatility: Live.
//
// Blind spots: sockets of a network namespace without any process (kept by a mount or
// a descriptor alone); other families (netlink, vsock, Bluetooth, XDP, SCTP), whose
// descriptors stand in the artifact openfile as "socket:[inode]" with no match here;
// connections that the kernel only forwards, as for a virtual machine; whatever a
// kernel module hides.
package netconn
