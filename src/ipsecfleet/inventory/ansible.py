"""What `ansible-inventory --list` prints becomes an inventory to begin with.

Taken are hosts, groups with their children, and how SSH reaches a host: ansible_host, ansible_port, ansible_user,
ansible_ssh_private_key_file, and a jump host in ansible_ssh_common_args. IKE addresses and tunnels are not known there.
What ansible would fill in at run time (`{{ … }}`) is left out and said so.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ipsecfleet.errors import OperatorError
from ipsecfleet.inventory.values import NAME, quoted

OF_ALL = frozenset({"_meta", "all", "ungrouped"})
KEYS = {
    "address": ("ansible_host", "ansible_ssh_host"),
    "port": ("ansible_port", "ansible_ssh_port"),
    "user": ("ansible_user", "ansible_ssh_user"),
    "identity": ("ansible_ssh_private_key_file", "ansible_private_key_file"),
}
"""What a gateway's keys are called there, the newer name first."""

JUMP_ARGUMENTS = ("ansible_ssh_common_args", "ansible_ssh_extra_args")
JUMP = re.compile(r"(?:-J[ =]?|ProxyJump[ =])\s*[\"']?([^\s\"']+)")
HEAD = """\
# Made from what ansible-inventory --list printed. To be filled in: the IKE addresses of each gateway (ike = ["…"]) and the
# tunnels; `ipsecfleet inventory check` tells what is wrong, `ipsecfleet trust GATEWAY` writes host keys down.
schema = 1
fleet  = "imported"
"""


@dataclass(slots=True)
class _Host:
    """A host as it stands there; `left_out` are variables whose value is not known yet."""

    name: str
    values: dict[str, str | int] = field(default_factory=dict)
    groups: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def from_ansible(text: str, source: str) -> str:
    """The text of an inventory; OperatorError where `text` is not what ansible-inventory --list prints."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _bad(source, str(error)) from None
    if not isinstance(document, dict):
        raise _bad(source, "it is no JSON object")
    hosts = _hosts(document, source)
    if not hosts:
        raise _bad(source, "it has no hosts")
    return "\n".join([HEAD, *(line for host in hosts for line in _lines(host))])


def _bad(source: str, why: str) -> OperatorError:
    hint = "ansible-inventory --list > FILE makes one"
    return OperatorError(f"{source} is not ansible's list: {why}", kind="usage", obj=source, hint=hint)


def _hosts(document: Mapping[str, object], source: str) -> list[_Host]:
    variables = _object(_object(document.get("_meta")).get("hostvars"))
    groups = {name: set(_members(document, name, source)) for name in document if name not in OF_ALL}
    names = dict.fromkeys([*variables, *(host for members in groups.values() for host in sorted(members))])
    names |= dict.fromkeys(h for name in ("all", "ungrouped") for h in _members(document, name, source))
    hosts = []
    for name in names:
        if not NAME.fullmatch(name):
            raise _bad(source, f"the host name {quoted(name)} cannot be a gateway's")
        host = _Host(name, groups=[group for group, members in groups.items() if name in members])
        _fill(host, _object(variables.get(name)))
        hosts.append(host)
    return hosts


def _members(document: Mapping[str, object], name: str, source: str, above: tuple[str, ...] = ()) -> Iterator[str]:
    """The hosts of a group and of the groups below it."""
    if name in above:
        raise _bad(source, f"the group {quoted(name)} is below itself")
    group = _object(document.get(name))
    yield from _texts(group.get("hosts"))
    for child in _texts(group.get("children")):
        yield from _members(document, child, source, (*above, name))


def _fill(host: _Host, variables: Mapping[str, object]) -> None:
    host.values["address"] = host.name
    for key, names in KEYS.items():
        name = next((n for n in names if n in variables), None)
        value = variables.get(name) if name is not None else None
        if isinstance(value, str) and "{{" in value:
            host.left_out.append(str(name))
        elif isinstance(value, str | int) and not isinstance(value, bool):
            host.values[key] = int(value) if key == "port" and str(value).isdecimal() else str(value)
    for name in JUMP_ARGUMENTS:
        found = JUMP.search(str(variables.get(name, "")))
        if found:
            host.values["jump"] = found[1]
    if host.values.get("user") == "root":
        host.values["privilege"] = "none"


def _lines(host: _Host) -> Iterator[str]:
    yield f"[gateway.{_key(host.name)}]"
    yield from (f"{key} = {json.dumps(value)}" for key, value in host.values.items())
    if host.groups:
        yield f"groups = [{', '.join(json.dumps(group) for group in host.groups)}]"
    yield from (f"# {name} is filled in by ansible at run time: write it here" for name in host.left_out)
    yield ""


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> list[str]:
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []
