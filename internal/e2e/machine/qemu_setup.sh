set -e
# The kernel, without the drivers that no virtual machine needs.
mkdir "$1/tmp/kernel"
cd "$1/tmp/kernel"
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
apt-get download -q -o APT::Sandbox::User=root "$package"
dpkg-deb -x "$package"_*.deb .
cp boot/vmlinuz-* "$1/boot/"
if [ -d usr/lib/modules ]; then mv usr/lib/modules "$1/usr/lib/"; else mv lib/modules "$1/usr/lib/"; fi
cd /
rm -r "$1/tmp/kernel"
version=$(ls "$1/usr/lib/modules")
cd "$1/usr/lib/modules/$version/kernel"
rm -rf sound arch/x86/kvm drivers/ata drivers/cpufreq drivers/gpu drivers/scsi drivers/infiniband drivers/md drivers/nvme drivers/hv drivers/usb drivers/media drivers/xen fs/btrfs fs/xfs fs/ceph fs/nfs fs/nfsd fs/cifs fs/smb fs/ocfs2 fs/gfs2 fs/jfs fs/f2fs net/sunrpc
find . -name '*.ko.xz' | sed "s,^\.,/usr/lib/modules/$version/kernel," | chroot "$1" xargs -r xz -d
chroot "$1" depmod "$version"
# The disk, the network and the channel for commands.
echo '/dev/vda / ext4 rw,relatime 0 1' > "$1/etc/fstab"
chroot "$1" systemctl --quiet mask getty@tty1.service serial-getty@ttyS0.service systemd-pstore.service \
	dev-hugepages.mount dev-mqueue.mount sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount \
	modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service modprobe@efi_pstore.service modprobe@fuse.service modprobe@loop.service
chroot "$1" systemctl --quiet enable systemd-networkd.service systemd-networkd-wait-online.service
cat > "$1/usr/local/sbin/hozen-machine-shell" <<'END'
#!/bin/sh
# Reads "NUMBER SCRIPT INPUT" in base64, runs the script and answers "NUMBER OUTPUT",
# where the exit code stands behind the last x of the output.
# The port's name has the number that its device got.
set -- /dev/vport*p1
exec 3<>"$1"
echo up >&3
while read -r number script input <&3; do
	out=$({
		printf %s "$input" | base64 -d | sh -c "$(printf %s "$script" | base64 -d)"
		printf 'x%s' "$?"
	} 3>&- 2>&1 | base64 -w 0)
	printf '%s %s\n' "$number" "$out" >&3
done
END
chmod 755 "$1/usr/local/sbin/hozen-machine-shell"
# It is no service that anybody stops: what it shows must be as it is without it.
cat > "$1/etc/systemd/system/hozen-machine-shell.service" <<'END'
[Unit]
DefaultDependencies=no
IgnoreOnIsolate=yes
[Service]
ExecStart=/usr/local/sbin/hozen-machine-shell
Restart=always
RestartSec=1
KillMode=process
Environment=HOME=/root LC_ALL=C.UTF-8 TERM=dumb
[Install]
WantedBy=sysinit.target
END
chroot "$1" systemctl --quiet enable hozen-machine-shell.service
