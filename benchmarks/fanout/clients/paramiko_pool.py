"""paramiko's SSHClient in a pool of threads; key and known hosts are read once."""

import sys
from concurrent.futures import ThreadPoolExecutor

import paramiko

hosts, home, command = sys.argv[1].split(","), sys.argv[2], sys.argv[3]
known = paramiko.HostKeys(f"{home}/known_hosts")
key = paramiko.Ed25519Key.from_private_key_file(f"{home}/id")


def visit(host: str) -> int:
    client = paramiko.SSHClient()
    client._host_keys = known  # noqa: SLF001  its own reader takes seconds, for each client anew
    try:
        client.connect(
            host, username="root", pkey=key, look_for_keys=False, allow_agent=False, timeout=5, banner_timeout=5
        )
        return len(client.exec_command(command)[1].read())
    except (OSError, EOFError, paramiko.SSHException):
        return 0
    finally:
        client.close()


with ThreadPoolExecutor(min(len(hosts), 400)) as pool:
    print(sum(size >= 20480 for size in pool.map(visit, hosts)))
