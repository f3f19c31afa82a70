// Package ancestry names the programs that started this one on Windows. It knows nothing of
// what they are.
package ancestry
