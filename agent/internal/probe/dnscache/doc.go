// Package dnscache is the probe of what the PC's own resolver remembers: which names were
// looked up lately, and what the answers were. It knows nothing of who asked.
//
// What evidence: a line per name and kind, with the answers and until when they are kept,
// and what was found not to exist: names that a program of an intruder makes up by the
// hundred show so.
//
// Source of truth: Linux: systemd-resolved from version 254 on, by Varlink
// (io.systemd.Resolve.Monitor.DumpCache). Windows: DnsGetCacheDataTable, which Microsoft does
// not document, and DnsQuery that asks the cache alone.
//
// Privileges: root.
//
// Footprint: one question to the resolver. Nothing is looked up.
//
// Volatility: Presence: minutes.
//
// Blind spots: a resolver that keeps its cache to itself is named as such: nscd has no
// such question, dnsmasq answers to its log alone, unbound and named to who has their
// keys. Caches within programs, and resolvers elsewhere in the network.
package dnscache
