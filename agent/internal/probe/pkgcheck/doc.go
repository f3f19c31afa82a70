// Package pkgcheck is the probe of what the package manager says of its files against what
// lies on the disk. It knows nothing of who changed a file, nor whether he was allowed to.
//
// What evidence: a line per file that differs from the digest in its package, is missing or
// could not be read; one line with how much was compared.
//
// Source of truth: Linux: the lists of dpkg (deb-md5sums(5)), its status with the
// configuration files, its diversions. The databases of rpm, apk and pacman are not read,
// and the outcome says so. Windows: not yet.
//
// Privileges: root for programs that others may not read.
//
// Footprint: reads of the files, programs first, as far as the time goes, without changing
// the time of their last access where the system allows it.
//
// Volatility: Derivable.
//
// Blind spots: the lists lie on the same disk, and whoever is root can change them too;
// MD5 is what they have. A program that no package brought is in no list: the probe of
// names and times shows it.
package pkgcheck
