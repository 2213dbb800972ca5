"""Anything may happen between anything: a state machine of operators, faults and time over simulated daemons.

Whatever the order: no line names a tunnel that was not chosen, no tunnel that was not chosen loses its SA, and what is
called proven is so in the kernels. `make test` plays few examples, always the same; `make soak` many.
"""

import os
import re
import tempfile
from pathlib import Path

from fleets import star
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from killing import KilledError, dying
from simworld import RunLock

from ipsecfleet.errors import Exit
from ipsecfleet.inventory.words import Selection
from ipsecfleet.model.document import Document
from ipsecfleet.run import changes
from ipsecfleet.run.acting import Locking
from ipsecfleet.run.journal import Archive

SOAK = bool(os.environ.get("IPSECFLEET_SOAK"))
TUNNELS = ("tunnel-1", "tunnel-2", "tunnel-3")
GATEWAYS = ("hub", "branch-1", "branch-2", "branch-3")
VERBS = ("down", "up", "restart", "rekey")
NAME = re.compile(r"from-[0-9./]+-to-[0-9./]+")


class Interleavings(RuleBasedStateMachine):
    """A hub with three branches, all ours."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="ipsecfleet-"))
        self.sim = star(3)
        self.number = 0
        self.left: str | None = None

    def connections(self, tunnel: str) -> set[str]:
        n = tunnel[-1]
        return {f"from-172.16.{n}.0/24-to-192.168.{n}.0/24", f"from-192.168.{n}.0/24-to-172.16.{n}.0/24"}

    def carried(self, tunnel: str) -> bool:
        """Whether the hub's kernel has the flow."""
        n = tunnel[-1]
        return any(f"from 172.16.{n}.0/24 to 192.168.{n}.0/24" in line for line in self.sim.flows("hub"))

    def run(self, verb: str, tunnel: str, kill_at: int = 0) -> None:
        """One run; `kill_at` is the event at which its process dies."""
        self.number += 1
        run_id = f"20261123-203144-{self.number:04d}"
        more = {"archive": Archive(self.home), "run_id": run_id, "locking": Locking(wait_s=2.0, take=True)}
        more |= {"tell": dying(kill_at)} if kill_at else {}
        self.sim.sent.clear()
        before = {t: self.carried(t) for t in TUNNELS}
        try:
            document = getattr(self.sim, verb)(run=more, tunnels=[tunnel])
        except KilledError:
            self.left = run_id
        else:
            self.true(verb, tunnel, document)
        self.only(tunnel, before)

    def true(self, verb: str, tunnel: str, document: Document) -> None:
        assert document.exit_code is not Exit.BUG, document.errors
        if document.exit_code is Exit.OK:
            assert self.left_out(document) or self.carried(tunnel) == (verb != "down"), (
                document.results,
                document.plan,
            )

    def left_out(self, document: Document) -> bool:
        """A held tunnel is not restarted."""
        return document.plan is not None and not document.plan.targets

    def only(self, tunnel: str, before: dict[str, bool]) -> None:
        """What was sent names this tunnel alone, and the others have what they had."""
        lines = [line for lines in self.sim.sent.values() for line in lines]
        assert {name for line in lines for name in NAME.findall(line)} <= self.connections(tunnel)
        lost = {t for t in TUNNELS if t != tunnel and before[t] and not self.carried(t)}
        assert not lost

    @rule(verb=st.sampled_from(VERBS), tunnel=st.sampled_from(TUNNELS))
    def an_operator(self, verb: str, tunnel: str) -> None:
        self.run(verb, tunnel)

    @rule(verb=st.sampled_from(VERBS), tunnel=st.sampled_from(TUNNELS), at=st.integers(1, 25))
    def an_operator_whose_process_dies(self, verb: str, tunnel: str, at: int) -> None:
        self.run(verb, tunnel, kill_at=at)

    @rule(abort=st.booleans())
    def what_was_left_is_taken_up(self, abort: bool) -> None:
        if self.left is None:
            return
        archive, run = Archive(self.home), self.left
        kept, file = changes.find(archive, run)
        tunnel = file.plan.targets[0].tunnel
        before = {t: self.carried(t) for t in TUNNELS}
        self.sim.sent.clear()
        made = self.sim.run(Selection(), archive=archive, locking=Locking(wait_s=2.0, take=True))
        if abort:
            document = changes.abort(made, kept, file, archive.snapshot(run))
            assert document.exit_code is not Exit.BUG, document.errors
        else:
            self.true(file.order.verb, tunnel, changes.resume(made, kept, file, archive.snapshot(run)))
        self.only(tunnel, before)
        self.left = None

    @rule(gateway=st.sampled_from(GATEWAYS), visits=st.integers(1, 8), cut=st.sampled_from(["before", "in", "after"]))
    def a_line_will_be_cut(self, gateway: str, visits: int, cut: str) -> None:
        self.sim.cut[self.sim.visits + visits] = cut

    @rule(gateway=st.sampled_from(GATEWAYS))
    def somebody_loads_all_files(self, gateway: str) -> None:
        self.sim.load_all(gateway)

    @rule(gateway=st.sampled_from(GATEWAYS))
    def a_daemon_is_started_again(self, gateway: str) -> None:
        self.sim.restart_daemon(gateway)
        self.sim.load_all(gateway)

    @rule(gateway=st.sampled_from(GATEWAYS))
    def a_gateway_boots(self, gateway: str) -> None:
        self.sim.reboot(gateway)

    @rule(gateway=st.sampled_from(GATEWAYS), seconds=st.integers(1, 90))
    def a_stranger_has_the_lock(self, gateway: str, seconds: int) -> None:
        now = self.sim.world.now
        self.sim.run_locks[gateway] = RunLock("20261123-203144-cd34", "bob@desk", now, now + seconds)

    @rule(gateway=st.sampled_from(GATEWAYS), seconds=st.integers(-100_000, 100_000))
    def a_clock_jumps(self, gateway: str, seconds: int) -> None:
        self.sim.clocks[gateway] = float(seconds)

    @rule(number=st.integers(1, 3), seconds=st.integers(1, 150))
    def a_peer_is_silent_for_a_while(self, number: int, seconds: int) -> None:
        address = f"10.1.9.{number}"
        self.sim.world.cut(address)
        self.sim.world.at(self.sim.world.now + seconds, lambda: self.sim.world.restore(address))

    @rule(seconds=st.floats(0.1, 200))
    def time_passes(self, seconds: float) -> None:
        self.sim.settle(seconds)

    @invariant()
    def every_run_can_be_told(self) -> None:
        assert all(run.entries for run in Archive(self.home).runs())


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(
    max_examples=400 if SOAK else 12,
    stateful_step_count=25,
    derandomize=not SOAK,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
