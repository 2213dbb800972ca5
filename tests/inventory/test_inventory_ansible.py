"""Inventories made from ansible's list: what it has is taken, what it cannot have is said."""

import json

import pytest

from ipsecfleet.errors import OperatorError
from ipsecfleet.inventory import parse
from ipsecfleet.inventory.ansible import from_ansible

LIST = {
    "_meta": {
        "hostvars": {
            "fra1": {"ansible_host": "198.51.100.11", "ansible_port": 2222, "ansible_user": "ipsecops", "other": [1]},
            "oslo.example.net": {
                "ansible_ssh_private_key_file": "~/.ssh/ops",
                "ansible_ssh_common_args": "-o ProxyJump=ops@198.51.100.1 -o ServerAliveInterval=5",
                "ansible_user": "root",
            },
            "lyon": {"ansible_host": "{{ lookup('dns', 'lyon') }}", "ansible_ssh_common_args": "-J bastion"},
        }
    },
    "all": {"children": ["ungrouped", "hub", "eu"]},
    "hub": {"hosts": ["fra1"]},
    "eu": {"children": ["hub", "branch"]},
    "branch": {"hosts": ["oslo.example.net"]},
    "ungrouped": {"hosts": ["lyon"]},
}


def test_hosts_groups_and_how_they_are_reached() -> None:
    text = from_ansible(json.dumps(LIST), "list.json")
    fleet = parse(text)
    told = {g.name: (g.address, g.port, g.user, g.identity, g.jump, g.privilege, g.groups) for g in fleet.gateways}
    assert told == {
        "fra1": ("198.51.100.11", 2222, "ipsecops", None, None, "doas", ("hub", "eu")),
        "oslo.example.net": (
            "oslo.example.net", None, "root", "~/.ssh/ops", "ops@198.51.100.1", "none", ("eu", "branch"),
        ),
        "lyon": ("lyon", None, None, None, "bastion", "doas", ()),
    }  # fmt: skip
    assert "# ansible_host is filled in by ansible at run time: write it here" in text


def test_a_list_without_variables_has_its_hosts_from_the_groups() -> None:
    fleet = parse(from_ansible(json.dumps({"hub": {"hosts": ["b", "a"]}, "all": {"hosts": ["c"]}}), "x"))
    assert [g.name for g in fleet.gateways] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "Expecting value"),
        ("[]", "it is no JSON object"),
        ("{}", "it has no hosts"),
        ('{"_meta": {"hostvars": {"a b": {}}}}', "the host name 'a b' cannot be a gateway's"),
        ('{"a": {"children": ["b"]}, "b": {"children": ["a"]}}', "the group 'a' is below itself"),
        ("[" * 100_000, "x is not ansible's list"),
    ],
)
def test_what_is_no_list_of_ansibles(text: str, why: str) -> None:
    with pytest.raises(OperatorError) as caught:
        from_ansible(text, "x")
    assert why in str(caught.value)
    assert caught.value.hint == "ansible-inventory --list > FILE makes one"
