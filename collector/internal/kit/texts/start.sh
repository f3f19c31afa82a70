#!/bin/sh
# Starts the acquisition of the USB kit that this file lies in. Nothing is installed.
cd -- "$(dirname -- "$0")" || exit 1
if [ ! -x ./hozen-agent ]; then
	echo 'このUSBメモリーからはプログラムを実行できません。担当者に電話してください。'
	echo '(担当者へ: noexec か FAT32 のためです。exFAT の USBメモリーを使うか、「exec」を付けてマウントし直してください)'
	echo 'Programs cannot be run from this USB stick. Call the person in charge.'
	echo '(It is mounted noexec, or is FAT32: use a stick with exFAT, or mount it with the option exec.)'
	exit 1
fi
if [ "$(id -u)" != 0 ] && command -v sudo >/dev/null 2>&1; then
	echo '管理者のパスワードを聞かれます。分からなければ Ctrl+C を押してください(そのまま続けます)。'
	echo 'You are asked for an administrator password. If you have none, press Ctrl+C; it goes on without.'
	trap : INT
	if sudo -v; then
		exec sudo ./hozen-agent acquire --kit "$@"
	fi
	trap - INT
fi
exec ./hozen-agent acquire --kit "$@"
