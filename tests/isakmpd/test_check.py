from facts import N1, flows, kernel, phase1, sa, seen

from ipsecfleet.isakmpd.check import LEVELS, findings
from ipsecfleet.isakmpd.names import alias_of
from ipsecfleet.isakmpd.visit import Answer, Section, digest
from ipsecfleet.model.fleet import Carp, Gateway
from ipsecfleet.model.snapshot import Unknown

HUB = Gateway("hub", "192.0.2.1", carp=Carp("fra", "carp0", "203.0.113.1"))
TOP = "100600 0 0 100 /etc/ipsec.conf\n"
ONE = "100600 0 0 900 /etc/IPsec/customer-1.conf\ninclude /etc/IPsec/customer-1.conf\n"
WELL = {"fifo": "fifo", "daemon": "running", "carp": {"carp0": "master"}, "release": "OpenBSD 7.6"}


def found(
    gateway: Gateway = HUB,
    files: str = TOP + ONE,
    host: str = "fifo-mode 0600\n",
    wanted: tuple[str, ...] = ("/etc/IPsec/customer-1.conf",),
    **parts: object,
) -> list[tuple[str, str, str]]:
    answer = Answer((Section("host", "ok", host.encode()), Section("files", "ok", files.encode())), True)
    up = {"sas": (sa(), phase1()), "flows": flows(), "kernel": kernel()}
    snapshot = seen(**(up | WELL | parts))
    return [(f.severity, f.subject, f.text) for f in findings(gateway, answer, snapshot, wanted)]


def wrong(**more: object) -> list[tuple[str, str]]:
    return [(subject, text) for severity, subject, text in found(**more) if severity != "info"]  # type: ignore[arg-type]


def test_a_gateway_that_is_well() -> None:
    assert wrong() == []
    assert ("info", "carp", "carp0 is master") in found()


def test_the_level() -> None:
    levels = {
        p: [f for f in found(gateway=Gateway("hub", "192.0.2.1", privilege=p)) if f[1] == "level"] for p in LEVELS
    }
    assert {p: f[0][:2] for p, f in levels.items()} == {
        "none": ("info", "level"), "doas": ("info", "level"), "restricted": ("problem", "level"),
    }  # fmt: skip


def test_an_installed_program_must_be_this_versions() -> None:
    installed = Gateway("hub", "192.0.2.1", privilege="restricted")
    assert wrong(gateway=installed, host=f"sha256 {digest()}\n") == []
    text = "restricted: the installed visit program is not this version's, its sha256 is"
    assert wrong(gateway=installed, host="sha256 0a0b\n") == [("level", f"{text} 0a0b")]
    assert wrong(gateway=installed) == [("level", f"{text} not told")]


def test_what_a_fifo_can_be() -> None:
    assert wrong(fifo="irregular") == [("fifo", "isakmpd.fifo is not a FIFO; isakmpd does not start while it is there")]
    assert [s for s, _ in wrong(fifo="missing", daemon="none")] == ["fifo", "pid"]
    assert wrong(fifo="no-reader", daemon="stale")[1] == (
        "pid", "isakmpd.pid names a process that is not isakmpd",
    )  # fmt: skip
    assert wrong(host="fifo-mode 0620\n") == [("fifo", "isakmpd.fifo has mode 0620")]


def test_a_part_that_could_not_be_read() -> None:
    assert wrong(kernel=Unknown("failed: not permitted")) == [("kernel", "could not be read: failed: not permitted")]


def test_the_carp_role() -> None:
    assert wrong(carp={"carp0": "init"}) == [("carp", "carp0 is init")]
    assert wrong(carp={}) == [("carp", "the inventory names carp0, the gateway has no such interface")]
    assert wrong(carp=Unknown("no ifconfig")) == [("carp", "the role could not be read: no ifconfig")]
    assert wrong(gateway=Gateway("hub", "192.0.2.1"), carp=Unknown("no ifconfig")) == []


def test_an_alias_left_by_a_rekey() -> None:
    alias = alias_of(N1)
    assert [s for s, t in wrong(sas=(sa(alias),)) if alias in t] == ["alias"]


def test_files_that_others_may_touch() -> None:
    assert wrong(files=TOP.replace("100600", "100644") + ONE) == [
        ("mode", "/etc/ipsec.conf has mode 0644: ipsecctl refuses it")
    ]
    assert [s for s, t in wrong(files=TOP + ONE.replace("100600", "100640")) if "customer-1" in t] == []
    assert "ipsecctl does not check included files" in wrong(files=TOP + ONE.replace("100600", "100660"))[0][1]
    assert wrong(files=TOP.replace(" 0 0 100", " 1000 0 100") + ONE)[0][0] == "owner"


def test_include_lines() -> None:
    gone = wrong(files=TOP + "include /etc/IPsec/customer-1.conf\n")
    assert gone == [("include", "ipsec.conf includes /etc/IPsec/customer-1.conf, which is not there")]
    assert "is gone after the next boot" in wrong(files=TOP)[0][1]


def test_files_that_could_not_be_read() -> None:
    answer = Answer((Section("files", "failed", b"permission denied"),), True)
    texts = [f.text for f in findings(HUB, answer, seen(**WELL), ())]
    assert "/etc/ipsec.conf could not be read: permission denied" in texts


def test_one_cause_is_found_once() -> None:
    dead = Unknown("missing: there is no isakmpd.fifo", "start it")
    assert wrong(sas=dead, connections=dead) == [("sas", "could not be read: missing: there is no isakmpd.fifo")]
