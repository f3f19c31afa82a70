// Package autostart is the probe of what starts by itself: units and timers of the system
// manager, cron and at, login scripts, and libraries that are loaded into everything. It
// knows nothing of what is harmless.
//
// What evidence: a line per unit that the system manager has loaded, with its state and,
// of timers, when they elapse next and did last; a line per file by which something
// starts, with owner, times and digest. A unit that runs and whose file is gone, or a file
// that is newer than the manager's word, shows between the two.
//
// Source of truth: Linux: org.freedesktop.systemd1 on D-Bus, or the manager's own socket
// for root (org.freedesktop.systemd1(5)); the folders of systemd.unit(5), cron(8), at(1),
// and those in [places]. Windows: the service control manager (EnumServicesStatusEx) with the
// library of each service, the values of the registry in [startKeys] of the machine and of
// everyone whose hive is loaded, tasks (System32\Tasks) and start folders.
//
// Privileges: none for most; root for the tables and units of other users.
//
// Footprint: the manager answers a few questions; files are hashed without changing the
// time of their last access where the system allows it. Contents are not kept. Homes on
// network file systems, FUSE and autofs are left out, and told as skipped: to look would
// mount them, or wait for a server that an isolated PC does not reach.
//
// Volatility: Machine.
//
// Blind spots: the loaded state of users' own managers; persistence by other means, as in
// a shell's start files in homes, a patched program, the boot loader.
package autostart
