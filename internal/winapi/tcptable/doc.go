// Package tcptable reads Windows' table of TCP connections and ends one of them. It knows
// nothing of what the rows mean to whoever asks.
package tcptable
