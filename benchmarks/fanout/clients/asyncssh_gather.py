"""asyncssh, all at once, as its own documentation has it."""

import asyncio
import sys

import asyncssh


async def main() -> None:
    hosts, home, command = sys.argv[1].split(","), sys.argv[2], sys.argv[3]
    known = asyncssh.read_known_hosts(f"{home}/known_hosts")
    key = asyncssh.read_private_key(f"{home}/id")

    async def visit(host: str) -> int:
        try:
            async with asyncssh.connect(
                host, username="root", client_keys=[key], known_hosts=known, agent_path=None, connect_timeout=5
            ) as connection:
                return len((await connection.run(command, encoding=None)).stdout)
        except (TimeoutError, OSError, asyncssh.Error):
            return 0

    got = await asyncio.gather(*map(visit, hosts))
    print(sum(size >= 20480 for size in got))


asyncio.run(main())
