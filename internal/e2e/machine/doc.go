// Package machine boots whole guests with a real systemd, to be switched off in every
// way there is: containers of their own (systemd-nspawn) and virtual machines. It
// knows the programs under test as files and command lines only.
package machine
