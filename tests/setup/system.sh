#!/bin/sh
# What the tests need of the system, from Debian or Ubuntu: an sshd, OpenBSD's shell and doas, shells that complete.
# With the word `venv`: what a virtual environment needs.
set -eu

missing=
need() {
	PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}

if [ "${1:-}" = venv ]; then
	missing=python3-venv
else
	need sshd openssh-server
	need mksh mksh
	need doas opendoas
	need unshare util-linux
	need ps procps
	need perl perl-base
	need mandoc mandoc
	need strace strace
	need fish fish
	need zsh zsh
fi
[ -n "$missing" ] || exit 0

echo "installing$missing" >&2
if [ "$(id -u)" -eq 0 ]; then as_root=
elif command -v sudo >/dev/null 2>&1; then as_root="sudo -n"
else
	echo "the tests need$missing; as root: apt-get install$missing" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086
$as_root apt-get install -qq -y --no-install-recommends $missing >/dev/null
