"""What ipsecctl(8) lets pass in silence, or with a warning, and an operator should know.

Source: set_rule_peers in parse.y of sbin/ipsecctl (for the default peer, in its words); runs of the real daemon. The
daemon takes a value as one word of at most 200 bytes: a longer key is cut, and one with white space is cut there. A key
that begins with 0x is decoded as hexadecimal. Rules for one peer share its phase 1, and rules with the same networks
share their phase 2: of what they say differently the last one stays.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ipsecfleet.isakmpd.conf.rules import Rule
from ipsecfleet.isakmpd.names import DEFAULT_PHASE1

MAX_VALUE = 200

_word = re.compile(r"[^\s\]]*", re.ASCII)
_blank = re.compile(r"\s", re.ASCII)
_hex = re.compile(r"0[xX][0-9A-Fa-f]+")


@dataclass(frozen=True, slots=True)
class ConfWarning:
    """Something about a rule that works otherwise than it looks."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}: {self.line}: {self.text}"


def findings(rules: Sequence[Rule]) -> tuple[ConfWarning, ...]:
    """All warnings, rule by rule, each once for all rules that one line expands to."""
    of_phase1: dict[str, Rule] = {}
    of_connection: dict[str, Rule] = {}
    found: list[ConfWarning] = []
    for rule in rules:
        texts = [*_of_psk(rule), *_of_words(rule)]
        texts += _of_phase1(of_phase1.setdefault(rule.phase1, rule), rule)
        texts += _of_connection(of_connection.setdefault(rule.connection, rule), rule)
        found += [ConfWarning(rule.file, rule.line, text) for text in texts]
    return tuple(dict.fromkeys(found))


def _of_psk(rule: Rule) -> Iterator[str]:
    if rule.terms.psk is None:
        return
    psk = rule.terms.psk.reveal()
    if not psk:
        yield "psk is empty"
    if _bytes(psk) > MAX_VALUE:
        yield f"psk is longer than {MAX_VALUE} bytes, isakmpd cuts it"
    if _blank.search(psk):
        yield "psk holds white space, isakmpd cuts it there"
    if psk[:2] in {"0x", "0X"} and not _hex.fullmatch(psk):
        yield "psk begins with 0x and is not hexadecimal"


def _of_words(rule: Rule) -> Iterator[str]:
    """Identities make a section name after `id-`, a tag stands alone."""
    terms = rule.terms
    for what, value, prefix in (("srcid", terms.srcid, 3), ("dstid", terms.dstid, 3), ("tag", terms.tag, 0)):
        if value is not None and not (value and _word.fullmatch(value) and _bytes(value) <= MAX_VALUE - prefix):
            yield f"{what} is not one word of at most {MAX_VALUE - prefix} bytes, isakmpd cuts or refuses it"


def _of_phase1(first: Rule, rule: Rule) -> Iterator[str]:
    subject = "default peer" if rule.phase1 == DEFAULT_PHASE1 else rule.phase1
    theirs = _phase1_traits(first)
    for trait, value in _phase1_traits(rule).items():
        if value != theirs[trait] and not (trait == "psk" and None in {value, theirs[trait]}):
            yield f"{subject} {trait} mismatch"


def _phase1_traits(rule: Rule) -> dict[str, object]:
    return {
        "local": rule.local,
        "phase 1 auth": rule.terms.psk is None,
        "psk": rule.terms.psk,
        "phase 1 mode": rule.terms.aggressive,
        "srcid": rule.terms.srcid,
        "dstid": rule.terms.dstid,
    }


def _of_connection(first: Rule, rule: Rule) -> Iterator[str]:
    if _phase2_traits(first) != _phase2_traits(rule):
        yield f"{rule.connection} is set up otherwise at {first.file}: {first.line}, the last one stays"


def _phase2_traits(rule: Rule) -> tuple[object, ...]:
    return rule.phase1, rule.mode == "passive", rule.terms.satype, rule.terms.tmode, rule.nat, rule.terms.tag


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))
