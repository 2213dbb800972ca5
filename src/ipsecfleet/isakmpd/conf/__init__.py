"""An ipsec.conf without ipsecctl(8): its rules, the names ipsecctl gives them, where its secrets are, what is odd.

Source: ipsec.conf(5); sbin/ipsecctl; held to regress/sbin/ipsecctl and to the transcripts of the real ipsecctl.

    lexer → cursor → grammar → expand → rules        characters, tokens, a line as written, the rules it stands for
    hosts, transforms                                what the words of a line mean
    masking, lint                                    secrets and their places; warnings

`parse` does no I/O: the text of an included file is what `include` returns for the path as written. It refuses what
ipsecctl refuses, in its words; ipsecctl goes on to the next rule and then loads nothing, here the first error ends it.
Hosts that only the gateway can look up keep the word as typed (`Rule.depends_on_gateway`).
"""

from dataclasses import dataclass

from ipsecfleet.isakmpd.conf.grammar import Include, Parser
from ipsecfleet.isakmpd.conf.lexer import ConfError
from ipsecfleet.isakmpd.conf.lint import ConfWarning, findings
from ipsecfleet.isakmpd.conf.masking import Span, mask, spans_of
from ipsecfleet.isakmpd.conf.rules import FlowRule, ManualRule, Rule, Terms, delete_lines
from ipsecfleet.isakmpd.conf.transforms import Proposal

__all__ = [
    "Conf",
    "ConfError",
    "ConfWarning",
    "FlowRule",
    "Include",
    "ManualRule",
    "Proposal",
    "Rule",
    "Span",
    "Terms",
    "delete_lines",
    "mask",
    "parse",
]


@dataclass(frozen=True, slots=True)
class Conf:
    """A conf file with all it includes; rules in the order in which ipsecctl would load them."""

    path: str
    rules: tuple[Rule, ...]
    flows: tuple[FlowRule, ...]
    manual: tuple[ManualRule, ...]
    secrets: tuple[Span, ...]
    warnings: tuple[ConfWarning, ...]

    def secrets_in(self, path: str) -> tuple[Span, ...]:
        """The secrets that stand in one file, which is named as it was included."""
        return tuple(span for span in self.secrets if span.file == path)


def parse(text: str, *, path: str, include: Include, before: tuple[str, str] | None = None) -> Conf:
    """Read the text of the file at `path`; ConfError at the first thing that ipsecctl would refuse.

    `before` is path and text of a file that is read before it, as if it began with an include of that.
    """
    parser = Parser(text, path, include)
    if before is not None:
        parser.begin_with(*before)
    parser.run()
    return Conf(
        path,
        tuple(parser.rules),
        tuple(parser.flows),
        tuple(parser.manual),
        spans_of(parser.secrets, parser.comments),
        findings(parser.rules),
    )
