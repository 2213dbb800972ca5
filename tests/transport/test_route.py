import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ipsecfleet.errors import OperatorError
from ipsecfleet.model.fleet import Gateway
from ipsecfleet.transport.route import Resolver, Route


@pytest.fixture
def resolve(bare_home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Route]:
    monkeypatch.setenv("USER", "me")
    monkeypatch.setenv("LOGNAME", "me")

    def route(
        config: str, gateway: Gateway, *, known_hosts: tuple[str, ...] = (), timeout: float | None = None
    ) -> Route:
        path = bare_home / "config"
        path.write_text(config)
        return Resolver(str(path), known_hosts, timeout).route(gateway)

    return route


def hops(route: Route | None) -> list[tuple[str, str, int, str]]:
    return [] if route is None else [*hops(route.via), (route.name, route.user, route.port, route.host)]


def test_the_inventory_wins_over_ssh_config(resolve: Callable[..., Route]) -> None:
    config = "Host *\n User cfg\n Port 2222\n IdentityFile /cfg\n UserKnownHostsFile /a /b\n"
    plain = resolve(config, Gateway("hub", "10.0.0.1"))
    assert (plain.user, plain.port, plain.identities, plain.known_hosts) == ("cfg", 2222, ("/cfg",), ("/a", "/b"))
    own = resolve(config, Gateway("hub", "10.0.0.1", user="inv", port=22, identity="/inv", known_hosts="/kh"))
    assert (own.user, own.port, own.identities, own.known_hosts) == ("inv", 22, ("/inv",), ("/kh",))
    assert (plain.host_key_name, own.host_key_name) == ("[10.0.0.1]:2222", "10.0.0.1")


def test_the_command_line_comes_between(resolve: Callable[..., Route]) -> None:
    gateway = Gateway("hub", "10.0.0.1", connect_timeout=5)
    assert resolve("", gateway, timeout=0.5).timeout == 0.5
    assert resolve("", gateway).timeout == 5
    assert resolve("Host *\n UserKnownHostsFile /a\n", gateway, known_hosts=("/k",)).known_hosts == ("/k",)
    assert resolve("", gateway).known_hosts[0] == "~/.ssh/known_hosts"


def test_keys_of_one_host_are_not_offered_to_another(bare_home: Path) -> None:
    (bare_home / "config").write_text("Host a\n IdentityFile /a\nHost b\n IdentityFile /b\n")
    resolver = Resolver(str(bare_home / "config"), (), None)
    found = [resolver.route(Gateway(name, name)).identities for name in ("a", "b", "c")]
    assert found == [("/a",), ("/b",), ()]


def test_jump_hosts_in_their_order(resolve: Callable[..., Route]) -> None:
    route = resolve(
        "Host b\n User cfg\n HostName bastion\n", Gateway("hub", "10.0.0.1", user="u", jump="alice@a:2022,b")
    )
    assert hops(route) == [
        ("jump host a", "alice", 2022, "a"),
        ("jump host b", "cfg", 22, "bastion"),
        ("hub", "u", 22, "10.0.0.1"),
    ]


def test_a_jump_host_may_have_one_of_its_own(resolve: Callable[..., Route]) -> None:
    config = "Host inner\n ProxyJump outer\nHost 10.*\n ProxyJump inner\nHost *\n User u\n"
    assert [name for name, *_ in hops(resolve(config, Gateway("hub", "10.0.0.1")))] == [
        "jump host outer",
        "jump host inner",
        "hub",
    ]


def test_no_jump_host_where_there_is_to_be_none(resolve: Callable[..., Route]) -> None:
    assert resolve("Host *\n ProxyJump none\n", Gateway("hub", "10.0.0.1")).via is None
    assert resolve("Host *\n ProxyJump bastion\n", Gateway("hub", "10.0.0.1", jump="none")).via is None


def test_a_block_for_all_hosts_does_not_send_the_jump_host_through_itself(resolve: Callable[..., Route]) -> None:
    config = "Host *\n ProxyJump bastion\n User u\n"
    assert hops(resolve(config, Gateway("hub", "10.0.0.1"))) == [
        ("jump host bastion", "u", 22, "bastion"),
        ("hub", "u", 22, "10.0.0.1"),
    ]


def test_gateways_behind_one_jump_host_have_an_equal_way_to_it(bare_home: Path) -> None:
    (bare_home / "config").write_text("Host *\n ProxyJump bastion\n")
    resolver = Resolver(str(bare_home / "config"), (), None)
    first, second = (resolver.route(Gateway(name, name)) for name in ("a", "b"))
    assert first.via == second.via
    assert first != second


def test_a_jump_host_without_an_identity_gets_that_of_the_gateway(resolve: Callable[..., Route]) -> None:
    gateway = Gateway("hub", "10.0.0.1", identity="/inv", jump="bastion")
    assert resolve("", gateway).via.identities == ("/inv",)
    assert resolve("Host bastion\n IdentityFile /cfg\n", gateway).via.identities == ("/cfg",)


def test_an_included_file_stands_in_its_place(resolve: Callable[..., Route], bare_home: Path) -> None:
    (bare_home / ".ssh/part").write_text("Port 7\nHost b\n User part\n")
    config = "Host a\n User first\n Include part\n IdentityFile /a\nHost *\n User last\n"
    a, b = resolve(config, Gateway("a", "a")), resolve(config, Gateway("b", "b"))
    assert (a.user, a.port, a.identities) == ("first", 7, ("/a",))
    assert (b.user, b.port, b.identities) == ("part", 22, ())


def test_files_that_include_one_another_come_to_an_end(resolve: Callable[..., Route], bare_home: Path) -> None:
    (bare_home / ".ssh/part").write_text("Include part\nUser part\n")
    assert resolve("Include part\n", Gateway("a", "a")).user == "part"


@pytest.mark.parametrize(
    ("config", "gateway"),
    [
        ("Host *\n Port many\n", Gateway("hub", "10.0.0.1")),
        ("", Gateway("hub", "alice@10.0.0.1", user="bob")),
        ("", Gateway("hub", "10.0.0.1", jump="bastion:x")),
    ],
)
def test_what_cannot_be_resolved_is_the_operators_fault(
    resolve: Callable[..., Route], config: str, gateway: Gateway
) -> None:
    with pytest.raises(OperatorError, match="no route to hub: "):
        resolve(config, gateway)


def test_an_ssh_config_that_is_none(resolve: Callable[..., Route]) -> None:
    with pytest.raises(OperatorError, match="ssh_config cannot be read: "):
        resolve("nonsense\n", Gateway("hub", "10.0.0.1"))


def test_many_threads_resolve_at_once(bare_home: Path) -> None:
    (bare_home / "config").write_text("Host *\n  Port 22\n")
    resolver = Resolver(str(bare_home / "config"), (), None)
    gateways = [Gateway(f"gw{n}", f"192.0.2.{n}", user="ops") for n in range(1, 60)]
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(16) as pool:
            routes = list(pool.map(resolver.route, gateways * 4))
    finally:
        sys.setswitchinterval(usual)
    assert [r.host for r in routes] == [g.address for g in gateways * 4]
