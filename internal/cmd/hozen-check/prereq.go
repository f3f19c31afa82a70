package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// need is a program or file of the machine that tests use, and the Debian package
// that brings it.
type need struct {
	look string // a program's name, or a pattern of paths
	pkg  string
	why  string
}

// needs lists what the tests take from the machine; building takes nothing but Go.
var needs = []need{
	{"gcc", "gcc", "the race detector links with it"},
	{"/usr/include/stdlib.h", "libc6-dev", "the race detector links with it"},
	{"git", "git", "the version of a build"},
	{"/usr/lib/postgresql/*/bin/postgres", "postgresql", "every store test runs on SQLite and on PostgreSQL"},
	{"chromium", "chromium", "the console is tested in a real browser"},
	{"/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc", "fonts-noto-cjk", "Japanese in the browser tests"},
	{"ip", "iproute2", "network namespaces are looked at from outside"},
	{"nft", "nftables", "rules are read back by another program than ours"},
	{"openssl", "openssl", "signatures are checked by another program than ours"},
	{"mactime", "sleuthkit", "body files are read by another program than ours"},
	{"unzip", "unzip", "packages are unpacked by another program than ours"},
	{"python3", "python3", "JSON and CSV are read by another program than ours"},
	{"pdftotext", "poppler-utils", "documents are read by another program than ours"},
	{"zbarimg", "zbar-tools", "codes on documents are read by another program than ours"},
	{"zstd", "zstd", "artifacts are opened by another program than ours"},
	{"age", "age", "encrypted evidence and packages are opened by another program than ours"},
	{"dbus-daemon", "dbus", "notices of a shutdown come over a bus of their own"},
	{"rpm", "rpm", "the agent's packages are looked into by another program than ours"},
	{"mmdebstrap", "mmdebstrap", "PCs to be switched off are small Debian systems"},
	{"/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring", "their packages are Debian's"},
	{"systemd-nspawn", "systemd-container", "they are booted with a real systemd"},
	{"mkfs.ext4", "e2fsprogs", "a PC's disk that is full"},
	{"qemu-system-x86_64", "qemu-system-x86", "a PC with a kernel of its own loses its power"},
	{"qemu-img", "qemu-utils", "the disk of that PC"},
	{"mke2fs", "e2fsprogs", "the file system of that PC"},
	{"x86_64-w64-mingw32-gcc", "gcc-mingw-w64-x86-64-win32", "what stands in for Windows's filtering platform is C"},
	{"wixl", "wixl", "the agent's installer for Windows"},
	{"msibuild", "msitools", "tables of that installer"},
	{"osslsigncode", "osslsigncode", "programs and installers for Windows are signed"},
	{"strace", "strace", "the agent is watched for programs that it starts"},
}

func (c *checker) prerequisites(ctx context.Context) error {
	c.axe(ctx)
	missing := lookFor(needs)
	if len(missing) == 0 {
		return nil
	}
	var pkgs, lines []string
	for _, n := range missing {
		pkgs = append(pkgs, n.pkg)
		lines = append(lines, fmt.Sprintf("missing: %s (%s)", n.pkg, n.why))
	}
	install := "apt-get install -y --no-install-recommends " + strings.Join(pkgs, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errors.New(strings.Join(append(lines, "on Debian or Ubuntu: sudo "+install), "\n"))
	}
	if !c.root {
		return errors.New(strings.Join(append(lines, "install with: sudo "+install), "\n"))
	}
	fmt.Fprintf(c.out, "   installing %s\n", strings.Join(pkgs, " "))
	env := []string{"DEBIAN_FRONTEND=noninteractive"}
	if _, err := cmd(ctx, "", env, "apt-get", "update", "-q"); err != nil {
		return err
	}
	args := append([]string{"install", "-y", "-q", "--no-install-recommends"}, pkgs...)
	if _, err := cmd(ctx, "", env, "apt-get", args...); err != nil {
		return err
	}
	if left := lookFor(missing); len(left) > 0 {
		return fmt.Errorf("%s is still missing after: %s", left[0].look, install)
	}
	return nil
}

func lookFor(list []need) (missing []need) {
	for _, n := range list {
		if strings.HasPrefix(n.look, "/") {
			if found, _ := filepath.Glob(n.look); len(found) == 0 {
				missing = append(missing, n)
			}
		} else if _, err := exec.LookPath(n.look); err != nil {
			missing = append(missing, n)
		}
	}
	return missing
}
