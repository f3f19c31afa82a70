// Package login is the probe of sign-ins of the past, and of those that failed. It knows
// nothing of who is signed in now.
//
// What evidence: the newest records of the histories that the system keeps, as they are,
// and the last sign-in of each user.
//
// Source of truth: Linux: /var/log/wtmp and btmp (utmp(5)), /var/log/lastlog (lastlog(8)).
// Windows: not yet.
//
// Privileges: root for failed sign-ins.
//
// Footprint: reads of the ends of files.
//
// Volatility: Machine: the files stay, but intruders wipe them, and logs rotate.
//
// Blind spots: records that root changed or cut out; systems that keep them in a data base
// (wtmpdb, lastlog2); sign-ins that register nowhere.
package login
