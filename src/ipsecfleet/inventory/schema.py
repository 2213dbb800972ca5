"""The inventory's format, table by table: which keys there are, what each may be, what stands in for a missing one.

Every function reads one table and closes it, so an unknown key is never silently ignored. What is true of single values
is checked here; what is true of the whole (names that refer to each other, addresses, duplicates) in `check`.
"""

from collections.abc import Mapping
from dataclasses import replace

from ipsecfleet.inventory import values
from ipsecfleet.inventory.problems import Problem, Table
from ipsecfleet.model.fleet import Carp, Fleet, Gateway, Limits, Paths, TunnelEnd, TunnelSpec

PRIVILEGES = ("doas", "none", "restricted")


def read_fleet(document: Mapping[str, object], problems: list[Problem], *, source: str | None = None) -> Fleet:
    """The fleet that a parsed document means; what is wrong is added to `problems`."""
    top = Table("", document, problems)
    top.need("schema", values.schema, 1)
    base = _defaults(top.table("defaults"))
    fleet = Fleet(
        name=top.take("fleet", values.text, ""),
        limits=_limits(top.table("limits")),
        gateways=tuple(_gateway(name, table, base) for name, table in top.table("gateway").tables()),
        tunnels=tuple(_tunnel(table) for table in top.array("tunnel")),
        time_scale=top.take("time_scale", values.scale, 1.0),
        source=source,
    )
    top.close()
    return fleet


def tunnel_path(number: int, name: str) -> str:
    """Where a tunnel stands: by its name if it has one, else by its place, counted from 1."""
    return f"tunnel.{name}" if name else f"tunnel[{number}]"


def _defaults(table: Table) -> Gateway:
    base = _common(table, Gateway(name="", address=""))
    table.close()
    return base


def _common(table: Table, base: Gateway) -> Gateway:
    """What both the defaults and a gateway may say."""
    return replace(
        base,
        user=table.take("user", values.user, base.user),
        port=table.take("port", values.whole(1, 65535), base.port),
        identity=table.take("identity", values.text, base.identity),
        jump=table.take("jump", values.text, base.jump),
        privilege=table.take("privilege", values.one_of(*PRIVILEGES), base.privilege),
        conf_dir=table.take("conf_dir", values.directory, base.conf_dir),
        known_hosts=table.take("known_hosts", values.text, base.known_hosts),
        connect_timeout=table.take("connect_timeout", values.duration, base.connect_timeout),
        command_timeout=table.take("command_timeout", values.duration, base.command_timeout),
        per_gateway_parallel=table.take("per_gateway_parallel", values.whole(1, 1000), base.per_gateway_parallel),
        min_gap=table.take("min_gap", values.duration_or_none, base.min_gap),
        paths=_paths(table.table("paths"), base.paths),
    )


def _paths(table: Table, base: Paths) -> Paths:
    paths = Paths(
        run=table.take("run", values.directory, base.run),
        etc=table.take("etc", values.directory, base.etc),
        bin=table.take("bin", values.directory_or_none, base.bin),
        log=table.take("log", values.directory, base.log),
    )
    table.close()
    return paths


def _limits(table: Table) -> Limits:
    base = Limits()
    limits = Limits(
        max_tunnels_down=table.take("max_tunnels_down", values.limit, base.max_tunnels_down),
        max_gateways_touched=table.take("max_gateways_touched", values.limit, base.max_gateways_touched),
        max_failures=table.take("max_failures", values.whole(0, 10_000), base.max_failures),
    )
    table.close()
    return limits


def _gateway(name: str, table: Table, base: Gateway) -> Gateway:
    table.accept(name, values.name)
    gateway = replace(
        _common(table, base),
        name=name,
        address=table.need("address", values.host, ""),
        ike=table.take("ike", values.several(values.ip), ()),
        groups=table.take("groups", values.several(values.name), ()),
        carp=_carp(table.table("carp")) if "carp" in table else None,
    )
    table.close()
    return gateway


def _carp(table: Table) -> Carp:
    carp = Carp(
        group=table.need("group", values.name, ""),
        interface=table.need("interface", values.name, ""),
        vip=table.need("vip", values.ip, ""),
    )
    table.close()
    return carp


def _tunnel(table: Table) -> TunnelSpec:
    name = table.need("name", values.tunnel_name, "")
    if name:
        table.path = tunnel_path(0, name)
    a, b = _end(table.need_table("a")), _end(table.need_table("b"))
    files = table.table("files")
    tunnel = TunnelSpec(name, a=_with_file(a, "a", files, name), b=_with_file(b, "b", files, name))
    files.close()
    table.close()
    return tunnel


def _end(table: Table) -> TunnelEnd:
    end = TunnelEnd(
        gateway=table.take("gateway", values.name, None),
        carp=table.take("carp", values.name, None),
        peer=table.take("peer", values.ip, None),
        ike=table.take("ike", values.ip, None),
        networks=table.need("networks", values.networks, ()),
    )
    if sum(key in table for key in ("gateway", "carp", "peer")) != 1:
        table.wrong("needs exactly one of gateway, carp and peer")
    if "peer" in table and "ike" in table:
        table.wrong("stands beside gateway and carp only; a peer is an IKE address already", "ike")
    table.close()
    return end


def _with_file(end: TunnelEnd, letter: str, files: Table, tunnel: str) -> TunnelEnd:
    """The end with its conf file's name, if it is ours."""
    default = f"{tunnel}.conf"
    file = files.take(letter, values.file_name, default)
    if end.peer is None:
        return replace(end, file=file)
    if letter in files:
        files.wrong("this end is a peer: it has no file of ours", letter)
    return end
