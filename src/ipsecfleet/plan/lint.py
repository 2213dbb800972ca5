"""What is wrong with the conf files of an inventory, taken together, before any gateway sees one of them.

A file alone can be right and still hurt: what it says of a peer or of two networks replaces what another file of the same
gateway says (groundtruth 1.2), and two ends that do not mirror each other never come up, or come up by the first one's
word (1.2, `-K`). `confs` has what each file means, by the gateway that gets it and its name there.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from ipsecfleet.isakmpd.conf import Conf, Rule
from ipsecfleet.isakmpd.conf.lint import findings
from ipsecfleet.isakmpd.conf.transforms import Proposal
from ipsecfleet.model.document import Finding
from ipsecfleet.model.fleet import Fleet, Gateway, TunnelEnd, TunnelSpec
from ipsecfleet.model.net import Selector, Selectors, same_address
from ipsecfleet.plan.files import file_of, files_of

WEAK_GROUPS = frozenset({"none", "modp768", "modp1024"})
WEAK_ENC = frozenset({"none", "null", "3des-cbc", "blowfish", "cast128"})
WEAK_AUTH = frozenset({"none", "hmac-md5"})
ALIKE = 5
"""From how many tunnels on a gateway it is told that they all live equally long."""


Confs = Mapping[tuple[str, str], Conf]


def lint(fleet: Fleet, confs: Confs) -> tuple[Finding, ...]:
    """Everything found, problems and warnings, each once."""
    found = chain(
        chain.from_iterable(_of_gateway(fleet, gateway, confs) for gateway in fleet.gateways),
        chain.from_iterable(_of_tunnel(fleet, spec, confs) for spec in fleet.tunnels),
        chain.from_iterable(_of_rule(rule) for conf in confs.values() for rule in conf.rules),
    )
    return tuple(dict.fromkeys(found))


def _problem(text: str, subject: str, gateway: str | None = None, hint: str = "") -> Finding:
    return Finding(gateway, "problem", subject, text, hint)


def _warning(text: str, subject: str, gateway: str | None = None) -> Finding:
    return Finding(gateway, "warning", subject, text)


def _of_gateway(fleet: Fleet, gateway: Gateway, confs: Confs) -> Iterator[Finding]:
    """What the files of one gateway do to each other."""
    mine = (confs.get((gateway.name, name)) for name in files_of(fleet, gateway))
    rules = [rule for conf in mine if conf is not None for rule in conf.rules]
    yield from (_problem(str(warning), "collision", gateway.name) for warning in findings(rules))
    lifetimes = {(r.terms.main.lifetime_s, r.terms.quick.lifetime_s) for r in rules}
    if len(rules) >= ALIKE and len(lifetimes) == 1:
        text = f"all {len(rules)} tunnels live equally long, so what began together is renewed together"
        yield _warning(text, "lifetime", gateway.name)


def _of_tunnel(fleet: Fleet, spec: TunnelSpec, confs: Confs) -> Iterator[Finding]:
    """What an end's file does not say of the tunnel, or says otherwise than the other end's."""
    for mine, other in ((spec.a, spec.b), (spec.b, spec.a)):
        conf = _conf_of(fleet, spec, mine, confs)
        if conf is not None:
            yield from _of_end(fleet, spec, mine, other, conf)
    one_end, other_end = (_conf_of(fleet, spec, end, confs) for end in (spec.a, spec.b))
    if one_end is not None and other_end is not None:
        between = [one for one in one_end.rules if one.selectors in _networks(spec.a, spec.b)]
        pairs = [(one, _mirror_of(one, other_end.rules)) for one in between]
        yield from chain.from_iterable(_between(one, two) for one, two in pairs if two is not None)


def _conf_of(fleet: Fleet, spec: TunnelSpec, end: TunnelEnd, confs: Confs) -> Conf | None:
    """What an end's file means; all members of a CARP group have the same."""
    found = (confs.get((gateway.name, file_of(spec, end))) for gateway in fleet.members(end))
    return next((conf for conf in found if conf is not None), None)


def _of_end(fleet: Fleet, spec: TunnelSpec, mine: TunnelEnd, other: TunnelEnd, conf: Conf) -> Iterator[Finding]:
    made = {rule.flow_selectors: rule for rule in conf.rules}
    addresses = fleet.addresses(other)
    for wanted in _networks(mine, other):
        rule = made.get(wanted)
        if rule is None:
            text = f"{conf.path}: {spec.name} is from {wanted.local} to {wanted.remote}, which no rule of it makes"
            yield _problem(text, "networks")
        elif addresses and not any(same_address(rule.peer, address) for address in addresses):
            there = " or ".join(addresses)
            text = f"{_at(rule)}: its peer is {rule.peer or 'the default'}, the inventory has {there} for {spec.name}"
            yield _problem(text, "peer")


def _between(one: Rule, two: Rule) -> Iterator[Finding]:
    """How two rules for one tunnel differ where they must not."""
    where = f"{_at(one)} and {_at(two)}"
    if one.terms.psk != two.terms.psk:
        yield _problem(f"{where}: their keys differ", "mirror")
    for phase, here, there in (("main", one.terms.main, two.terms.main), ("quick", one.terms.quick, two.terms.quick)):
        if _transform(here) != _transform(there):
            said, other = (" ".join(filter(None, _transform(p))) for p in (here, there))
            yield _problem(f"{where}: {phase} is {said} here and {other} there", "mirror")
        elif here.lifetime_s != there.lifetime_s:
            yield _warning(f"{where}: the lifetimes of {phase} differ", "mirror")
    if one.terms.satype != two.terms.satype or one.terms.tmode != two.terms.tmode:
        yield _problem(
            f"{where}: {one.terms.satype} {one.terms.tmode} is not {two.terms.satype} {two.terms.tmode}", "mirror"
        )
    modes = {one.mode == "passive", two.mode == "passive"}
    if modes == {True}:
        yield _problem(f"{where}: both are passive, so nobody begins", "mirror")
    if modes == {False}:
        yield _warning(f"{where}: both begin, which makes two SAs of one tunnel; let one be passive", "mirror")


def _of_rule(rule: Rule) -> Iterator[Finding]:
    if rule.mode == "dynamic":
        text = "ike dynamic changes the check interval and dead peer detection of the whole daemon, for good"
        yield _warning(f"{_at(rule)}: {text}", "dynamic")
    for phase, proposal in (("main", rule.terms.main), ("quick", rule.terms.quick)):
        weak = [
            word
            for word, words in ((proposal.group, WEAK_GROUPS), (proposal.enc, WEAK_ENC), (proposal.auth, WEAK_AUTH))
            if word in words
        ]
        if weak:
            yield _warning(f"{_at(rule)}: {phase} has {', '.join(map(str, weak))}, which is weak", "weak")


def _at(rule: Rule) -> str:
    return f"{rule.file}: {rule.line}"


def _transform(proposal: Proposal) -> tuple[str | None, str | None, str]:
    """What two ends must have alike; `aes` begins with 128 bits, so it meets `aes-128`."""
    return proposal.auth, "aes-128" if proposal.enc == "aes" else proposal.enc, proposal.group


def _networks(mine: TunnelEnd, other: TunnelEnd) -> tuple[Selectors, ...]:
    pairs = ((a, b) for a in mine.networks for b in other.networks if a.version == b.version)
    return tuple(Selectors(Selector(a), Selector(b)) for a, b in pairs)


def _mirror_of(rule: Rule, others: Iterable[Rule]) -> Rule | None:
    mirror = rule.selectors.mirrored() if rule.selectors is not None else None
    return next((o for o in others if o.selectors == mirror and mirror is not None), None)
