// Package clock is the probe of the endpoint's clocks: what every time stamp in the
// other artifacts is worth. It corrects nothing and knows no true time.
//
// What evidence: wall clock, monotonic and boot clocks read within microseconds of
// each other, time zone, the kernel's idea of how good its clock is, the battery
// clock, and the boot identifier that names the boot they count from.
//
// Source of truth: Linux: clock_gettime(2), adjtimex(2) without changing anything,
// /etc/localtime, /sys/class/rtc/rtc0, /proc/sys/kernel/random/boot_id. Windows: the
// system time and the time since boot.
//
// Privileges: none.
//
// Footprint: reads only.
//
// Volatility: Machine.
//
// Blind spots: a clock that was set by hand minutes ago looks like one that always was
// so; the collector's time of receipt, kept beside, is the witness. "synchronised"
// means that some program told the kernel so.
package clock
