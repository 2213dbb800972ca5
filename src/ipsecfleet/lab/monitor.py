"""The process whose pid stands in isakmpd.pid: to ps(1) it is isakmpd's monitor, and SIGUSR1 reaches the lab through it.

It is a perl that has given itself the title, and ends with the lab, which holds the other end of its standard input.
"""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable

from ipsecfleet.lab.pipes import pipe

COMMAND = ("perl", "-e", "eval <STDIN>; 0")
"""As long as the title, because perl fills up with blanks what the kernel shows of its arguments."""

PROGRAM = (
    rb'$SIG{USR1} = sub { syswrite STDOUT, "USR1\n" }; $0 = "isakmpd: monitor [priv]"; syswrite STDOUT, "ready\n";'
    b" until (defined sysread STDIN, my $byte, 1) { }\n"
)


class Monitor:
    """One such process; `on_signal` is called for each SIGUSR1 that it gets."""

    def __init__(self, process: Process, on_signal: Callable[[], None]) -> None:
        self._process = process
        self._listening = asyncio.create_task(self._listen(on_signal))

    @property
    def pid(self) -> int:
        return self._process.pid

    @classmethod
    async def start(cls, on_signal: Callable[[], None]) -> "Monitor":
        """Start one, and wait until it has its title."""
        process = await asyncio.create_subprocess_exec(
            *COMMAND, executable="/usr/bin/perl", stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env={}
        )
        pipe(process.stdin).write(PROGRAM)
        if await pipe(process.stdout).readline() != b"ready\n":
            raise RuntimeError("a monitor process did not start")
        return cls(process, on_signal)

    def kill(self) -> None:
        """End it, as SIGKILL does."""
        self._listening.cancel()
        if self._process.returncode is None:
            self._process.kill()

    async def _listen(self, on_signal: Callable[[], None]) -> None:
        while await pipe(self._process.stdout).readline():
            on_signal()
