"""Verdicts on what the real daemon did: the recorded failures as they stand in the files, and all of them played again.

Where a daemon was recorded, its reports, state, flows and log are what a visit brings; the log goes through the visit
program. Played again by simulated daemons, which are held to the records elsewhere, the same is asked at any moment.
"""

import hashlib
import re
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from syslog import recorded

import pytest
from replay import ADDRESSES, EPOCH, play
from simworld import SimFleet
from transcript import CAPTURES, read

from ipsecfleet.lab.daemon import World
from ipsecfleet.model.diagnosis import Cause, Diagnosis, Strength

STATUS = CAPTURES.parent / "status"
N1 = "from-172.16.1.0/24-to-192.168.1.0/24"
REVERSE = "from-192.168.1.0/24-to-172.16.1.0/24"
GAVE_UP = "transport_send_messages: giving up on exchange {}, no response from peer {}:500"
DROPPED = "dropped message from {} port 500 due to notification type {}"
IDS = "peer proposed invalid phase 2 IDs: initiator id 172.16.1.0/255.255.255.0, responder id 192.168.1.0/255.255.255.0"
OTHER_IDS = IDS.replace(".1.0/", ".2.0/")
EMPTY = ("held", "held-passive", "held-peers", "carp")


def machines(name: str) -> list[str]:
    return sorted({entry.gateway for entry in read(name) if entry.gateway})


class Recorded:
    """The gateways of a capture as they were when they were looked at, `t140s` or each at its own moment."""

    def __init__(self, name: str, looks: str | dict[str, str]) -> None:
        self.folder = CAPTURES / name
        self.sim = SimFleet()
        self.looks = looks if isinstance(looks, dict) else dict.fromkeys(self._gateways(), looks)
        self.told = {g: recorded(self._file(f"-{g}-isakmpd.log")) for g in self.looks}
        signalled = next(at for log in self.told.values() for at, text in log if text == "SIGUSR1 received")
        early_s = 140 - float(looks.strip("ts")) if isinstance(looks, str) else 0.0
        for gateway, look in self.looks.items():
            self._take(gateway, look, signalled - early_s)
        if not early_s:
            self._take_state(next(STATUS.glob(f"{name}--*")))
        self.sim.tunnel("recorded", *self._ends())

    def _gateways(self) -> list[str]:
        return sorted(f.name.split("-")[1] for f in self.folder.glob("*-gw*-ipsec.conf"))

    def _file(self, end: str) -> Path:
        return next(self.folder.glob(f"*{end}"))

    def _take(self, gateway: str, look: str, now: float) -> None:
        """What a gateway showed at a look, and what it had told up to that second of the day."""
        self.sim.gateway(gateway, ADDRESSES[gateway][0])
        parts = self.sim.parts
        parts[gateway, "host"] = ("ok", f"time {self.sim.world.now}\nfifo fifo\npid 4711\n".encode())
        parts[gateway, "report"] = ("ok", self._file(f"-{gateway}-{look}.result").read_bytes())
        lines = self._file(f"-{gateway}-ipsec.conf.fifo-lines").read_text()
        for section, tag in (("connections", "Connections"), ("passive", "Passive-Connections")):
            names = re.findall(rf"^C add \[Phase 2\]:{tag}=(\S+)", lines, re.MULTILINE)
            parts[gateway, section] = ("ok", f"{','.join(names)}\n".encode() if names else b"")
        parts.update({(gateway, section): ("ok", b"") for section in EMPTY})
        parts[gateway, "exchanges"] = ("skipped", b"no state was recorded of this one")
        flows, sad = self._kernel(gateway)
        parts[gateway, "flows"], parts[gateway, "sad"] = (
            ("ok", flows.encode()),
            ("ok", b"\n".join(self._networks(flows, sad))),
        )
        for at, text in self.told[gateway]:
            if at <= now:
                self.sim.told.append((gateway, self.sim.world.now - (now - at), f"isakmpd[4711]: {text}"))

    def _kernel(self, gateway: str) -> tuple[str, str]:
        found = next(self.folder.glob(f"*-{gateway}-ipsecctl-sa.txt"), None)
        flows, _, sad = (found.read_text() if found else "").partition("SAD:\n")
        return flows, sad

    @staticmethod
    def _networks(flows: str, sad: str) -> Iterator[bytes]:
        """The kernel's SAs with the networks of the one flow with that peer, as `-v` adds them."""
        found = re.search(r"out from (\S+) to (\S+) peer (\S+)", flows)
        for line in sad.splitlines():
            yield line.encode()
            if found and line.startswith("esp"):
                ways = (1, 2, "out") if f"to {found[3]}" in line else (2, 1, "in")
                nets = dict(zip(("src", "dst"), (ip_network(found[way]) for way in ways[:2]), strict=True))
                yield "".join(
                    (
                        *(f"\t{side}_mask: {net.netmask}\n" for side, net in nets.items()),
                        f"\tprotocol: proto 0 flags 0\n\tflow_type: type use direction {ways[2]}\n",
                        *(f"\t{side}_flow: {net.network_address}\n" for side, net in nets.items()),
                    )
                ).encode()

    def _take_state(self, report: Path) -> None:
        """The state that was recorded, of the end that begins, with its key as a hash."""
        state = report.read_bytes()
        body = re.sub(rb"(Authentication=\t)(\S+)", lambda m: m[1] + hashlib.sha256(m[2]).hexdigest().encode(), state)
        gateway = next(g for g, log in self.told.items() if any(text == "SIGUSR1 received" for _, text in log))
        self.sim.parts[gateway, "exchanges"] = ("ok", body)

    def _ends(self) -> list[tuple[str, str]]:
        """The tunnel of the end that begins, as an inventory has it."""
        conf = next(f for f in self.folder.glob("*-ipsec.conf") if "ike active" in f.read_text())
        here, there, peer = re.findall(r"(?:from|to|peer) (\S+)", conf.read_text())[:3]
        far = next((g for g in self.told if peer in ADDRESSES[g]), peer)
        return [(conf.name.split("-")[1], here), (far, there)]

    def diagnosis(self, tunnel: str) -> Diagnosis:
        return next(d for d in self.sim.diagnose(tunnels=[tunnel]).diagnoses or () if d.tunnel == tunnel)


def quotes(found: Diagnosis) -> str:
    return "\n".join(e.quote or "" for e in found.evidence if e.strength is Strength.SEEN)


AT = ("t5.6s", "t12s", "t20s", "t40s", "t66s", "t90s", "t127s", "t140s")
RECORDED = [
    ("b01-peer-unreachable", "t140s", Cause.PEER_SILENT, []),
    *(("b02-psk-mismatch", at, Cause.WRONG_PSK, ["reserved field non-zero: ", DROPPED.format("10.2.1.1", "PAYLOAD_MALFORMED")]) for at in AT),
    ("b05-phase2-networks-mismatch", "t140s", Cause.NEIGHBOURS_NAME, []),
    ("b07-phase1-id-mismatch", "t140s", Cause.ID_MISMATCH, ["received remote ID other than expected nobody.example.com"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "moment", "cause", "lines"), RECORDED)
def test_what_was_recorded(name: str, moment: str, cause: Cause, lines: list[str]) -> None:
    found = Recorded(name, moment).diagnosis("recorded")
    assert found.cause == cause, found
    assert [line for line in lines if line not in quotes(found)] == [], found


def test_what_was_recorded_of_a_refused_phase_2() -> None:
    """b09 was looked at when something changed: the reports of 126 s, and the state of the end that begins."""
    found = Recorded("b09-phase2-refused-by-peer", {"gw11": "t126.2", "gw12": "t126.3"}).diagnosis("recorded")
    assert found.cause is Cause.NETWORKS_UNKNOWN, found
    assert IDS in quotes(found)
    assert DROPPED.format("10.2.11.1", "INVALID_ID_INFORMATION") in quotes(found)
    assert GAVE_UP.format(N1, "10.2.12.1") in quotes(found)
    assert "KEY_EXCH" not in quotes(found)


def played(name: str, at: float) -> SimFleet:
    """The machines of a capture, all ours, so many seconds after its beginning."""
    sim = SimFleet(world=World(seed=1, start=EPOCH))
    for gateway in machines(name):
        sim.gateway(gateway, *ADDRESSES[gateway])
    play(name, sim.world)
    sim.world.advance(EPOCH + at)
    return sim


PLAYED = [
    *((("b01-peer-unreachable", at, N1, Cause.PEER_SILENT, [])) for at in (20, 60, 100, 140)),
    *(("b02-psk-mismatch", at, N1, Cause.WRONG_PSK, ["PAYLOAD_MALFORMED"]) for at in (20, 60, 100, 127, 140)),
    ("b05-phase2-networks-mismatch", 20, N1, Cause.NEIGHBOURS_NAME, []),
    *(
        ("b07-phase1-id-mismatch", at, N1, Cause.ID_MISMATCH, ["other than expected nobody.example.com"])
        for at in (20, 60, 100, 127, 137, 140)
    ),
    *(("b09-phase2-refused-by-peer", at, N1, Cause.NETWORKS_UNKNOWN, [IDS, "INVALID_ID_INFORMATION"]) for at in (20, 60, 126)),
    ("c01-t-peer-ip", 12, N1, None, []),
    ("c01-t-peer-ip", 15, N1, None, []),
    ("c02-t-quick-peer-passive", 15, N1, Cause.TAKEN_OFF, [f"Peer 10.2.7.1 made us delete live SA {REVERSE}"]),
    ("c04-t-main-only", 12, N1, None, []),
    ("c04-t-main-only", 84.6, N1, Cause.BLACK_HOLE, []),
    ("c05-names", 30, N1, Cause.TAKEN_OFF, []),
    ("c06b-main-then-quick-one-write", 15.5, N1, Cause.BLACK_HOLE, []),
    ("c09-t-quick-half-up", 60, N1, Cause.TAKEN_OFF, [GAVE_UP.format("peer-10.2.77.77", "10.2.77.77")]),
    ("c10-t-quick-then-ipsecctl-other", 14.1, N1, Cause.TAKEN_OFF, []),
    ("c10-t-quick-then-ipsecctl-other", 22, "from-172.16.2.0/24-to-192.168.2.0/24", Cause.NETWORKS_UNKNOWN, [OTHER_IDS]),
    ("c11-t-quick-with-replaced-sa", 12.7, N1, Cause.BOTH_ACTIVE, []),
    ("c11-t-quick-with-replaced-sa", 15, N1, Cause.BLACK_HOLE, []),
    *(("c16-down-both-then-c-soon", at, N1, Cause.LOCK_OUT, []) for at in (13, 20, 40, 100, 128)),
    ("c16-down-both-then-c-soon", 140, N1, None, []),
    ("c23-C-rmv-without-t", 16, N1, None, []),
    ("c23-C-rmv-without-t", 20, REVERSE, Cause.TAKEN_OFF, []),
]  # fmt: skip


@pytest.mark.parametrize(("name", "at", "tunnel", "cause", "lines"), PLAYED)
def test_what_is_played_again(name: str, at: float, tunnel: str, cause: Cause | None, lines: list[str]) -> None:
    found = {d.tunnel: d for d in played(name, at).diagnose(tunnels=[tunnel]).diagnoses or ()}[tunnel]
    assert found.cause == cause, found
    assert found.well is (cause is None), found
    assert [line for line in lines if line not in quotes(found)] == [], found


def test_an_attempt_of_a_moment_ago_is_not_judged() -> None:
    """c09, two seconds after it was begun."""
    (found,) = played("c09-t-quick-half-up", 10.5).diagnose(tunnels=[N1]).diagnoses or ()
    assert (found.cause, found.well, "may still go on" in found.verdict) == (None, False, True), found


def test_while_a_conf_is_new_nothing_is_said_of_its_lists() -> None:
    """Between ipsecctl -f and the re-initialisation 5 s later nothing of it counts, so nothing is wrong yet."""
    said = [d for at in (6, 8) for d in played("b09-phase2-refused-by-peer", at).diagnose().diagnoses or ()]
    assert {d.cause for d in said} == {None}
    assert all("anew" in d.verdict for d in said)
