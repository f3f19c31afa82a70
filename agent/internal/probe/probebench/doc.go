// Command probebench measures the flash and the volatile capture on a scene of its own: private PID,
// network and mount namespaces with as many processes, descriptors and sockets as a
// busy server has. It is run by hozen-bench, which cannot import the probes, and is
// not shipped. It knows nothing of other figures.
//
// The measure is the limit reader: it reads what the probes read, by the same bare
// system calls, and understands nothing. The ratio to it, round by round in one run,
// says what understanding and writing cost, on any machine.
//
// Usage: probebench [-quick] [-agent PROGRAM]. Each line of the output is one figure as JSON. The
// environment variable HOZEN_SNAPLIMIT names a foreign program of the same purpose,
// which the limit reader is then compared with.
package main
