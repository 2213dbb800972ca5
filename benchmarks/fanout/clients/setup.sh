#!/bin/sh
# What the benchmark compares with, and what it builds with, from Debian and PyPI.
set -eu
apt-get install -y --no-install-recommends ansible-core clustershell golang-go golang-golang-x-crypto-dev iproute2 \
    mawk openssh-client openssh-server original-awk procps pssh >/dev/null
cd "$(dirname "$0")/../../.."
[ -x .venv-bench/bin/pyinfra ] || { python3 -m venv .venv-bench && .venv-bench/bin/pip install --quiet pyinfra; }
