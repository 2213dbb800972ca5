import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecfleet.isakmpd.host import ConfFile, ConfFiles, HostFacts, parse_carp, parse_files, parse_host

HOST = b"""\
time 1795449184.25
release OpenBSD 7.6
uid 0
fifo fifo
fifo-mode 0600
pid 4711
result-mode 644
version 1
sha256 0a0b
"""

CARP = b"""\
carp0: flags=8843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> mtu 1500
\tlladdr 00:00:5e:00:01:01
\tdescription: carp: BACKUP, they say
\tindex 7 priority 15 llprio 3
\tcarp: MASTER carpdev em0 vhid 1 advbase 1 advskew 0
\tgroups: carp
\tstatus: master
\tinet 203.0.113.1 netmask 0xffffff00 broadcast 203.0.113.255
carp1: flags=8843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> mtu 1500
\tcarp: carpdev em1 advbase 1 balancing ip
\t\tstate BACKUP vhid 2 advskew 100
\t\tstate MASTER vhid 3 advskew 0
\t\tstate INIT vhid 4 advskew 0
carp2: flags=8802<BROADCAST,SIMPLEX,MULTICAST> mtu 1500
\tcarp: INIT carpdev none vhid 5 advbase 1 advskew 0
carp3: flags=8802<BROADCAST,SIMPLEX,MULTICAST> mtu 1500
\tcarp: <UNKNOWN> carpdev em0 vhid 6 advbase 1 advskew 0
carp4: flags=8843<UP,BROADCAST,RUNNING,SIMPLEX,MULTICAST> mtu 1500
\tcarp: state BACKUP vhid 7 advskew 100
"""

FILES = b"""\
100640 0 0 312 /etc/ipsec.conf
include /etc/IPsec/customer-1.conf
include /etc/IPsec/gone.conf
100600 0 5 1024 /etc/IPsec/a name.conf
- - - - /etc/IPsec/gone.conf
"""


def test_what_a_gateway_says_of_itself() -> None:
    assert parse_host(HOST) == HostFacts(
        time=1795449184.25,
        release="OpenBSD 7.6",
        uid=0,
        fifo="fifo",
        fifo_mode=0o600,
        pid=4711,
        daemon_state="running",
        result_mode=0o644,
        version="1",
        sha256="0a0b",
    )


@pytest.mark.parametrize("state", ["none", "stale"])
def test_a_daemon_that_does_not_run_has_a_state_and_no_pid(state: str) -> None:
    facts = parse_host(f"pid {state}\nresult-mode -\n".encode())
    assert facts == HostFacts(daemon_state=state)


def test_what_is_not_said_or_not_a_number_is_none() -> None:
    assert parse_host(b"") == HostFacts()
    assert parse_host(b"time soon\nuid root\nfifo-mode 9\nrelease \nresult-mode\nversion") == HostFacts()


def test_the_first_line_of_a_key_counts() -> None:
    assert parse_host(b"uid 1000\nuid 0\n").uid == 1000


def test_carp_states() -> None:
    assert parse_carp(CARP) == {"carp0": "master", "carp1": "master", "carp2": "init", "carp4": "backup"}


def test_no_carp_interface_is_no_state() -> None:
    assert parse_carp(b"") == {}
    assert parse_carp(b"\tcarp: MASTER carpdev em0 vhid 1 advbase 1 advskew 0\n") == {}


def test_conf_files_and_what_they_include() -> None:
    assert parse_files(FILES) == ConfFiles(
        files=(ConfFile("/etc/ipsec.conf", 0o640, 0, 0, 312), ConfFile("/etc/IPsec/a name.conf", 0o600, 0, 5, 1024)),
        includes=("/etc/IPsec/customer-1.conf", "/etc/IPsec/gone.conf"),
        unparsed=(b"- - - - /etc/IPsec/gone.conf",),
    )


words = st.sampled_from((HOST + CARP + FILES).replace(b"\n", b"\n ").replace(b"\t", b"\t ").split(b" "))


@given(st.binary() | st.lists(words, max_size=60).map(b" ".join) | st.lists(words, max_size=60).map(b"".join))
def test_any_bytes_give_facts(data: bytes) -> None:
    parse_host(data)
    assert set(parse_carp(data).values()) <= {"master", "backup", "init"}
    files = parse_files(data)
    assert len(files.files) + len(files.includes) + len(files.unparsed) == len([x for x in data.split(b"\n") if x])
