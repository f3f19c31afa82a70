// Package sockevent tells which TCP and UDP sockets of one network namespace open and
// close. It knows nothing of rings, nor of which process holds a socket: it asks.
//
// The end of a socket is told by the kernel itself (SKNLGRP_INET_TCP_DESTROY and its
// three sisters of linux/sock_diag.h, CAP_NET_ADMIN). A new one is found by asking for
// all of them (sock_diag(7)) several times a second, but only when the kernel's own
// counters (/proc/net/sockstat) moved or one ended since: an idle PC is asked once in
// ten seconds. Sockets are told apart by the kernel's cookie. One that opened and closed
// between two looks is told by its end alone, with both addresses; TCP in TIME_WAIT is
// over. Where the kernel does not tell ends, they too are found by looking.
package sockevent
