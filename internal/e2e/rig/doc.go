// Package rig runs the real programs for the demonstration, the benchmark and the
// end-to-end tests: a collector in a folder, agents, a practice PC. It knows the
// programs by their command lines and files only, as a person does.
package rig
