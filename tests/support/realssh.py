"""Debian's sshd in a mount namespace of its own, where `ipsecops` lives with mksh for a shell and doas for a way to root.

The script runs in `unshare --mount`. There /etc is a copy on a tmpfs, with one user more; /run, /usr/local and /var are
empty but for what is put there; the rest of the machine is as it is, so that the visit program finds a gateway's files
where the lab has them. One gateway's are also where an installed program looks: its `run` is /var/run, its conf files
are copied to /etc, and its tools stand before those of /usr/bin. From outside, /etc in there is /proc/PID/root/etc, so that doas.conf can change while sshd runs. All
of it is gone with the last process of the namespace (mount_namespaces(7)), and those are ended one by one.
"""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from servers import free_port, wait_for

USER = "ipsecops"
PERMIT = f"permit nopass {USER} as root cmd /usr/bin/perl args -T -\n"
RESTRICTED = f"permit nopass {USER} as root cmd /usr/local/libexec/ipsecfleet-visit args\n"
PROGRAMS = ("sshd", "ssh-keygen", "mksh", "doas", "perl", "unshare", "nsenter", "mount", "ps")
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

_NAMESPACE = """\
home=$1
gateway=$3
mount -t tmpfs -o mode=0755 etc "$home/etc"
cp -a /etc/. "$home/etc"
mount --bind "$home/etc" /etc
for directory in /run /usr/local /var; do mount -t tmpfs -o mode=0755 own "$directory"; done
echo 'ipsecops:x:29873:29873:an operator:/run/ipsecops:/bin/mksh' >> /etc/passwd
echo 'ipsecops:*:19000:0:99999:7:::' >> /etc/shadow
printf '%s\n' 'ipsecops:x:29873:' 'wheel:x:0:' >> /etc/group
rm -f /etc/doas.conf
mkdir -p /run/sshd /var/run "$home/bin"
mount --bind "$gateway/run" /var/run
cp -a "$gateway/etc/IPsec" /etc
sed "s,$gateway/etc/,/etc/," "$gateway/etc/ipsec.conf" > /etc/ipsec.conf
chmod 0600 /etc/ipsec.conf
for tool in ifconfig ipsecctl logger; do
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$gateway/bin/$tool" > "$home/bin/$tool"
    chmod 0755 "$home/bin/$tool"
done
mount -t overlay -o "lowerdir=$home/bin:/usr/bin" own /usr/bin
install -d -m 0700 -o ipsecops -g ipsecops /run/ipsecops /run/ipsecops/.ssh
install -m 0600 -o ipsecops -g ipsecops "$home/authorized_keys" /run/ipsecops/.ssh/authorized_keys
exec "$2" -D -f "$home/config" -E "$home/log"
"""

_CONFIG = """\
ListenAddress 127.0.0.1:{port}
HostKey {home}/host
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
LogLevel VERBOSE
"""


def missing() -> str:
    """What the machine lacks for this, as a sentence; empty if nothing."""
    lacking = [program for program in PROGRAMS if shutil.which(program, path=PATH) is None]
    if lacking:
        return f"these tests are about real programs, and {', '.join(lacking)} is not there: run `make setup` as root"
    if os.geteuid() != 0:
        return "a mount namespace with a user and a doas.conf of its own needs root: run `sudo make test`"
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        return "root may not make a mount namespace here: a container needs CAP_SYS_ADMIN for that"
    return ""


@dataclass(frozen=True)
class RealSsh:
    """That sshd, running, and its files; who has the identity may log in as ipsecops."""

    home: Path
    port: int
    pid: int

    @property
    def known_hosts(self) -> Path:
        return self.home / "known_hosts"

    @property
    def fingerprint(self) -> str:
        """Of the host key, as ssh-keygen prints it."""
        command = ["ssh-keygen", "-l", "-f", str(self.home / "host.pub")]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[1]

    @property
    def root(self) -> Path:
        """The root directory as it is in there."""
        return Path(f"/proc/{self.pid}/root")

    @property
    def logins(self) -> int:
        """How many there have been."""
        return (self.home / "log").read_text().count("Accepted publickey")

    def doas(self, rules: str | None, mode: int = 0o600) -> None:
        """Write doas.conf, or remove it."""
        conf = self.root / "etc/doas.conf"
        conf.unlink(missing_ok=True)
        if rules is not None:
            conf.write_text(rules)
            conf.chmod(mode)

    def as_root(self, commands: str) -> str:
        """What an administrator of that machine sees of these commands, given in the account's home."""
        script = f"cd /run/{USER}; {commands}"
        command = ["nsenter", f"--mount=/proc/{self.pid}/ns/mnt", "sh", "-euc", script]
        return subprocess.run(command, check=True, capture_output=True, text=True, env={"PATH": PATH}).stdout

    def sessions(self) -> list[int]:
        """The processes in there, but for sshd's first."""
        own = _namespace(self.pid)
        pids = [int(process.name) for process in Path("/proc").glob("[0-9]*")]
        return [pid for pid in pids if pid != self.pid and _namespace(pid) == own]

    def end_sessions(self) -> None:
        """End what is left of all logins, frozen or not."""
        for pid in self.sessions():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not self.sessions(), "sessions end")


@contextlib.contextmanager
def running(home: Path, authorized_keys: str, gateway: Path) -> Iterator[RealSsh]:
    """One of these, with its files in a new directory and those of a lab's gateway, for as long as the context lasts."""
    port = free_port()
    _lay_out(home, port, authorized_keys)
    program = str(shutil.which("sshd", path=PATH))
    command = ["unshare", "--mount", "sh", "-euc", _NAMESPACE, "sh", str(home), program, str(gateway)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, env={"PATH": PATH}) as process:
        sshd = RealSsh(home, port, process.pid)
        try:
            wait_for(lambda: process.poll() is not None or "Server listening" in _text(home / "log"), "sshd listens")
            assert process.poll() is None, f"sshd has ended: {_text(home / 'log') or 'see above'}"
            yield sshd
            sshd.end_sessions()
        finally:
            process.kill()


def _lay_out(home: Path, port: int, authorized_keys: str) -> None:
    """What sshd needs: its configuration, a host key, a place for its /etc, and who may log in."""
    (home / "etc").mkdir(parents=True)
    (home / "authorized_keys").write_text(authorized_keys)
    (home / "config").write_text(_CONFIG.format(home=home, port=port))
    keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(home / "host")]
    subprocess.run(keygen, check=True, stdin=subprocess.DEVNULL)
    (home / "known_hosts").write_text(f"[127.0.0.1]:{port} {(home / 'host.pub').read_text()}")


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _namespace(pid: int) -> str:
    """The mount namespace of a process; empty if it has ended, or is none that root may look into."""
    with contextlib.suppress(OSError):
        return str(Path(f"/proc/{pid}/ns/mnt").readlink())
    return ""
