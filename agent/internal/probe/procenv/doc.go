// Package procenv is the probe of the environments of processes. It knows nothing of what
// the variables mean, but for those whose values must not be taken.
//
// What evidence: the variables that each process was started with: LD_PRELOAD and its
// kin, the address that somebody signed in from (SSH_CONNECTION), a history that was
// switched off (HISTFILE), folders and hosts that an attacker's script was given.
//
// What is not taken: values that look like a secret of the PC's owner. A variable whose
// name says password, secret, token, credential or key, and one whose value holds an address
// with a password or a user in it (but for a mere user of SSH) or a setting of a password,
// stands with its name and the size of its value, marked "withheld". An expert learns which secrets the attacker could have read, so that they
// can be changed; the evidence, which travels to people outside, does not become a second
// place where they can be stolen. All other values are taken, because evidence without
// them answers no question. The rule is in [Withhold] and does not depend on who runs the
// process: an attacker's own key would be withheld too.
//
// Source of truth: Linux: /proc/PID/environ (proc_pid_environ(5)), at most 128 KiB of each.
// Windows: not yet.
//
// Privileges: none for a process of the same user, else CAP_SYS_PTRACE.
//
// Footprint: reads of /proc only. Reading takes the memory lock of the process for
// microseconds and may bring a swapped-out page back.
//
// Volatility: Handles: gone with the process.
//
// Blind spots: the kernel shows the memory where the environment stood at the start. What
// a program set later (setenv(3)) is not there, and a process can overwrite it; some
// servers put their title there, which shows as a text without "=".
package procenv
