// Package state is what runs and is connected, as far as a flight record tells: the
// table that the recorder keeps, and the same table rebuilt from the entries of a ring,
// at any of them. It knows nothing of files, nor of how an operating system is asked.
//
// A record has a list of everything now and then, and between two lists each start, end,
// opening and closing. So a list and what stands behind it is the table at the instant
// of every later entry. What stands between the entries of one list happened after it.
// What may be wrong is told by the gaps since the list.
package state
