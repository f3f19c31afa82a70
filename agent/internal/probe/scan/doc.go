// Package scan reads processes, sockets and open files of one moment in one pass,
// which the probes process, netconn and openfile share. It knows nothing of who asks
// or where records go.
//
// The order is that of volatility. Everything that says who runs what and who talks
// to whom is read first, within some 25 ms for 1,000 processes and 5,000 sockets:
// the list of processes, of each its stat, status, executable, directory, control
// group, namespaces and command line, and next to that the kernel's socket tables.
// Only then come the descriptors, which cost three times as much and are needed to
// tell who holds a socket. A pass that is stopped goes on where it was when the next
// probe asks, so a budget that ends during the descriptors costs no socket.
//
// How the flash profile puts it together:
//
//	pass := scan.New(scan.Options{Workers: 2})
//	probes := []probe.Probe{
//		process.New(pass),          // Live
//		netconn.New(pass),          // Live; walks the descriptors for the owners
//		openfile.New(pass),         // Handles; the same walk
//		session.New("/"),           // Presence
//		netconfig.New("/"),         // Presence
//		hostinfo.New("/"),          // Machine
//		clock.New("/"),             // Machine
//		exehash.New(pass, cache),   // Derivable; cache = exehash.NewCache(n), one per agent
//	}
//
// A Pass and its probes serve one acquisition; the cache lives as long as the agent.
//
// # Hostile endpoints
//
// A process can make the reading of its own command line hang for ever, by putting it
// on a file system that does not answer. So the command line is read after all else
// of the process is safe, a worker that hangs is replaced, and a pass waits no longer
// than [Options.Patience] for the last ones. All reads are checked against the
// identity of the process (PID and start), so a PID that was used again in between
// never mixes two processes.
package scan
