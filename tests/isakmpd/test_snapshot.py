"""From the sections of an answer to a snapshot: what failed, was cut off or is not understood is never empty."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecfleet.isakmpd.snapshot import snapshot_of
from ipsecfleet.isakmpd.visit import Answer, Section
from ipsecfleet.model.snapshot import Connection, GatewaySnapshot, Listing, Unknown

N1 = "from-172.16.1.0/24-to-192.168.1.0/24"
N2 = "from-172.16.2.0/24-to-192.168.2.0/24"
WHOLE = {
    "host": b"time 1795000000\nrelease OpenBSD 7.6\nfifo fifo\npid 4711\n",
    "carp": b"carp0: flags=8843<UP> mtu 1500\n\tcarp: MASTER carpdev em0 vhid 1\n",
    "report": b"",
    "connections": b"",
    "passive": b"",
    "held": b"",
    "held-passive": b"",
    "held-peers": b"",
    "flows": b"FLOWS:\nNo flows\n",
    "sad": b"SAD:\nNo entries\n",
    "exchanges": b"",
}
SA = f"""SA name: {N1} (Phase 2)
src: 10.1.2.2 dst: 10.2.1.1
Lifetime: 1200 seconds
Soft timeout in 1000 seconds
Hard timeout in 1199 seconds
Flags 0x00000003
SPI 0: 00000010{" "}
SPI 1: 00000011{" "}
Transform: IPsec ESP
Encryption key length: 16
Authentication key length: 20
Encryption algorithm: AES (CBC)
Authentication algorithm: HMAC-SHA1

"""
SECTIONS = f"""[Phase 1]
10.2.1.1=\tpeer-10.2.1.1
Default=\tpeer-default
[Phase 2]
Connections=\t{N1}
[{N1}]
Phase=\t2
ISAKMP-peer=\tpeer-10.2.1.1
Configuration=\tphase2-{N1}
Local-ID=\tfrom-172.16.1.0/24
NAT-ID=\tnat-172.31.0.0/24
Remote-ID=\tto-192.168.1.0/24
[from-172.16.1.0/24]
Network=\t172.16.1.0
Netmask=\t255.255.255.0
[nat-172.31.0.0/24]
Network=\t172.31.0.0
Netmask=\t255.255.255.0
[to-192.168.1.0/24]
Network=\t192.168.1.0
Netmask=\t255.255.255.0
Protocol=\t6
Port=\t443
[peer-10.2.1.1]
Phase=\t1
Address=\t10.2.1.1
"""


def answer(status: str = "ok", complete: bool = True, **bodies: object) -> Answer:
    told = {name.replace("_", "-"): body for name, body in bodies.items()}
    found = (WHOLE | told).items()
    sections = (Section(n, status if n in told else "ok", _bytes(b)) for n, b in found if b is not None)
    return Answer(tuple(sections), complete, "192.0.2.7 50022 198.51.100.11 22")


def _bytes(body: object) -> bytes:
    return body if isinstance(body, bytes) else str(body).encode()


def read(**bodies: object) -> GatewaySnapshot:
    return snapshot_of("hub", answer(**bodies))


def test_a_gateway_with_nothing_on_it() -> None:
    seen = read()
    assert (seen.sas, seen.connections, seen.flows, seen.kernel, seen.exchanges) == ((), (), (), (), ())
    assert (seen.at, seen.release, seen.daemon, seen.fifo) == (1_795_000_000.0, "OpenBSD 7.6", "running", "fifo")
    assert (seen.carp, seen.unknown) == ({"carp0": "master"}, ())
    assert seen.ssh is not None
    assert (seen.ssh.client, seen.ssh.server) == ("192.0.2.7", "198.51.100.11")


@pytest.mark.parametrize(
    ("section", "part"),
    [
        ("report", "sas"), ("connections", "connections"), ("passive", "connections"), ("held", "connections"),
        ("held_passive", "connections"), ("flows", "flows"), ("sad", "kernel"), ("exchanges", "exchanges"), ("carp", "carp"),
    ],
)  # fmt: skip
def test_a_section_that_failed_or_is_not_there_is_unknown(section: str, part: str) -> None:
    failed = getattr(snapshot_of("hub", answer("no-answer", **{section: b"the daemon is silent"})), part)
    assert failed == Unknown("no-answer: the daemon is silent", failed.hint)
    assert failed.hint
    assert getattr(snapshot_of("hub", answer(**{section: None})), part) == Unknown("not read")
    cut = getattr(snapshot_of("hub", answer(complete=False, **{section: None})), part)
    assert cut == Unknown("the answer was cut off")


@pytest.mark.parametrize("cut", range(20, len(SA) - 1, 37))
def test_a_report_that_was_cut_off_is_unknown(cut: int) -> None:
    assert isinstance(read(report=SA[:cut]).sas, Unknown)


@pytest.mark.parametrize("section", ["flows", "sad"])
def test_a_table_with_a_line_that_is_not_understood_is_unknown(section: str) -> None:
    text = WHOLE[section] + b"flow of time from here to there\n"
    part = getattr(read(**{section: text}), "kernel" if section == "sad" else section)
    assert isinstance(part, Unknown)
    assert "flow of time" in part.why


def listings(seen: GatewaySnapshot) -> dict[str, str]:
    assert not isinstance(seen.connections, Unknown)
    return {c.name: c.listing.value for c in seen.connections}


def test_every_list_says_what_it_means_and_the_daemons_own_win() -> None:
    seen = read(connections=N1, passive="p", held=f"{N1},a", held_passive="p,b")
    assert listings(seen) == {N1: "active", "p": "passive", "a": "held-active", "b": "held-passive"}


def test_what_only_an_sa_or_the_keep_up_list_names_stands_in_no_list() -> None:
    kept = f"connection_report: connection {N2} next check 42 seconds\n"
    assert listings(read(report=SA, exchanges=kept)) == {N2: "none", N1: "none"}
    assert listings(read(report=SA.replace(N1, N1.upper()), connections=N1)) == {N1: "active"}
    assert listings(read(report=SA.replace(N1, "ipsecfleet-rekey-0123abcd"))) == {}


def test_a_connection_with_what_it_is_built_from() -> None:
    seen = read(connections=N1, exchanges=SECTIONS)
    assert isinstance(seen.connections, tuple)
    (found,) = seen.connections
    assert (found.peer, found.phase1, found.missing) == ("10.2.1.1", "peer-10.2.1.1", ())
    assert found.selectors is not None
    assert str(found.selectors.local) == "172.31.0.0/24"
    assert (found.selectors.remote.proto, found.selectors.remote.port) == (6, 443)
    assert seen.peer_names == {"10.2.1.1": "peer-10.2.1.1", "Default": "peer-default"}


@pytest.mark.parametrize(
    ("gone", "missing"),
    [
        ("Phase=\t2\n", f"[{N1}]:Phase"),
        ("Configuration=\tphase2-" + N1 + "\n", f"[{N1}]:Configuration"),
        ("ISAKMP-peer=\tpeer-10.2.1.1\n", f"[{N1}]:ISAKMP-peer"),
        ("Phase=\t1\n", "[peer-10.2.1.1]:Phase"),
        ("Address=\t10.2.1.1\n", "[peer-10.2.1.1]:Address"),
    ],
)
def test_what_the_daemon_lacks(gone: str, missing: str) -> None:
    seen = read(connections=N1, exchanges=SECTIONS.replace(gone, ""))
    assert isinstance(seen.connections, tuple)
    assert seen.connections[0].missing == (missing,)


def test_what_it_lacks_is_not_known_where_the_sections_were_not_read() -> None:
    seen = snapshot_of("hub", answer("failed", exchanges=b"no SIGUSR1"))
    assert seen.connections == ()
    listed = Answer(
        tuple(
            s if s.name != "connections" else Section(s.name, "ok", N1.encode())
            for s in answer("failed", exchanges=b"x").sections
        ),
        True,
    )
    assert snapshot_of("hub", listed).connections == (Connection(N1, Listing.ACTIVE),)


def test_held_peers_and_their_names() -> None:
    seen = read(held_peers="10.2.1.1,10.2.2.1", exchanges="[ipsecfleet]\npeer-of-10.2.1.1=\tpeer-10.2.1.1\n")
    assert seen.held_peers == {"10.2.1.1": "peer-10.2.1.1", "10.2.2.1": None}


@pytest.mark.parametrize(("flags", "finished"), [("0x00000000", False), ("0x00000003", True)])
def test_a_phase_1_exchange_is_under_way_as_long_as_its_sa_is_not_ready(flags: str, finished: bool) -> None:
    running = (
        "exchange_report: 0x1 peer-10.2.1.1 p policy initiator phase 1 doi 1 exchange 2 step 5\n"
        f"exchange_report: icookie {'a' * 16} rcookie {'b' * 16}\nexchange_report: msgid 00000000 \n"
    )
    sa = f"SA name: peer-10.2.1.1 (Phase 1/Initiator)\nsrc: 10.1.2.2 dst: 10.2.1.1\nFlags {flags}\nicookie {'a' * 16} rcookie {'b' * 16}\n\n"
    seen = read(exchanges=running, report=sa)
    assert isinstance(seen.exchanges, tuple)
    assert seen.exchanges[0].finished is finished


def test_of_a_part_read_twice_the_last_reading_counts() -> None:
    twice = Answer((Section("connections", "ok", b"old"), *answer(connections=N1).sections), True)
    assert listings(snapshot_of("hub", twice)) == {N1: "active"}


def test_what_a_conf_file_makes() -> None:
    lines = f"t {N1}\nC rmv [Phase 2]:Connections={N1}\nt {N2}\nC rmv [Phase 2]:Passive-Connections={N2}\n"
    found = Answer(answer().sections, True, conf={"/a": lines.encode(), "/b": Unknown("failed: no such file")})
    seen = snapshot_of("hub", found)
    assert seen.conf["/a"] == (("Connections", N1), ("Passive-Connections", N2))
    assert seen.conf["/b"] == Unknown("failed: no such file")


@given(
    st.lists(st.tuples(st.sampled_from(sorted(WHOLE)), st.sampled_from(["ok", "failed"]), st.binary())), st.booleans()
)
def test_reading_is_total(parts: list[tuple[str, str, bytes]], complete: bool) -> None:
    snapshot_of("hub", Answer(tuple(Section(*p) for p in parts), complete, "x", conf={"/a": b"\xff"}))
