// Package flight is the probe of the flight record: the minutes before, as the
// recorder wrote them into its ring. It knows nothing of how they were observed.
//
// Evidence: starts and ends of processes, connections, snapshots, heartbeats, gaps and
// marks of one boot, its last minutes. Source of truth: the ring's files, whose hashes
// are checked. Privileges: those of the files' owner. Footprint: none; what waits in
// memory is flushed before if the caller says so. Volatility: on disk already, so it is
// read after everything that lives. Blind spots: what the recorder's packages list;
// times are the endpoint's.
package flight
