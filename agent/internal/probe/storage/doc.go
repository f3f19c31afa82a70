// Package storage is the probe of mounts, swap areas and block devices, and of what of
// them is encrypted at rest: before a PC is switched off somebody must know whether its
// disk can be read again. It knows nothing of what the files hold, nor of keys.
//
// What evidence: a line per mount, swap area and block device. Encryption is followed
// from a mount through device mapper, RAID and loop devices down to the disks.
//
// Source of truth: Linux: /proc/1/mountinfo (the agent's own where that is denied),
// /proc/swaps (proc_swaps(5)), /sys/class/block; dm-crypt shows in a device's
// dm/uuid, "CRYPT-LUKS2-…" (cryptsetup(8)). Windows: GetLogicalDrives, GetVolumeInformation and its like,
// of local volumes; what BitLocker wrote onto the disk, with state, method and protectors.
//
// Privileges: none; without rights to process 1 the mounts are those of the agent. On Windows an
// administrator, to read the disk.
//
// Footprint: reads of small files. On Linux no device is opened; on Windows up to 68 KB of each
// volume are read from its disk.
//
// Volatility: Presence: what is unlocked and mounted ends with the power.
//
// Blind spots: disks that encrypt by themselves; a volume of Windows that lies on several disks,
// told as unknown; ext4's and f2fs's encrypted folders
// (fscrypt), where the device is plain; encryption of zfs, bcachefs and network storage,
// told as unknown; mounts of other mount namespaces.
package storage
