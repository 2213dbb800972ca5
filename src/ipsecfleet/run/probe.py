"""Visits: one exec per gateway, its answer as a snapshot or as an error that says what to do.

A visit is the only way anything reaches a gateway. Verbs go in, an answer framed by a nonce comes back; what the
operator sees of a failure names the gateway, the phase and the next step.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

from ipsecfleet.errors import GatewayError, IpsecfleetError
from ipsecfleet.isakmpd import visit
from ipsecfleet.isakmpd.install import HELP
from ipsecfleet.isakmpd.snapshot import snapshot_of
from ipsecfleet.isakmpd.verbs import ConfNames, Exchanges, Flows, Host, Report, Sad, Verb
from ipsecfleet.isakmpd.visit import NO_GZIP, Answer, Call, Request, Section
from ipsecfleet.model.fleet import Gateway
from ipsecfleet.model.snapshot import GatewaySnapshot, Snapshot
from ipsecfleet.transport.contract import Outcome, Transport, Visit

LIMIT = visit.MOST_UNPACKED
"""The most bytes one visit may answer."""

GRACE_S = 3.0
"""How much sooner than our deadline the visit program ends by itself, so that it can say why."""

AGAIN = "run it again; if it stays so, look at the gateway's load and disk"

GLANCE: tuple[Verb, ...] = (Host(), Report(), Flows(), Sad(), Exchanges(only_if_needed=True))
"""What reading verbs ask; the daemon's own table only when something is not up."""

STARE: tuple[Verb, ...] = (Host(), Report(), Flows(), Sad(), Exchanges())
"""What changing verbs ask before and after."""

Arrived = Callable[[str, GatewaySnapshot | GatewayError], None]


@dataclass(slots=True)
class Prober:
    """Visits gateways over one transport; `who` stands in the gateway's own log beside every change.

    At most `fanout` gateways are visited at once. `arrived` hears of every one as it answers; with `keep` the last
    answer of each stays in `answers`. `meanwhile` is done while the first answers are on their way.
    """

    transport: Transport
    who: str
    fanout: int | None = None
    timeout: float | None = None
    arrived: Arrived = field(default=lambda _gateway, _seen: None)
    meanwhile: Callable[[], object] = field(default=lambda: None)
    keep: bool = False
    answers: dict[str, Answer] = field(default_factory=dict)
    _plain: set[str] = field(default_factory=set)

    def look(
        self,
        gateways: Iterable[Gateway],
        verbs: Sequence[Verb] = STARE,
        conf: Mapping[str, Sequence[str]] | None = None,
    ) -> Snapshot:
        """Visit all gateways side by side; `conf` names files per gateway whose connections are asked for too."""
        asked = conf or {}
        wanted = {g.name: g for g in gateways}
        return in_order(wanted, self.looks(wanted.values(), lambda g: (*verbs, *map(ConfNames, asked.get(g.name, ())))))

    def looks(
        self, gateways: Iterable[Gateway], verbs: Callable[[Gateway], Sequence[Verb]]
    ) -> Iterator[tuple[str, GatewaySnapshot | GatewayError]]:
        """The same, each gateway as it answers, and nothing of it kept."""
        for gateway, answer in self.visit_all(gateways, verbs):
            seen = answer if isinstance(answer, GatewayError) else snapshot_of(gateway.name, answer)
            self.arrived(gateway.name, seen)
            yield gateway.name, seen

    def see(self, gateway: Gateway, verbs: Sequence[Verb]) -> GatewaySnapshot:
        """One gateway's snapshot."""
        return snapshot_of(gateway.name, self.visit(gateway, verbs))

    def visit(self, gateway: Gateway, verbs: Sequence[Verb]) -> Answer:
        """One exec of the visit program; raises GatewayError unless its answer is whole."""
        ((_, answer),) = self.visit_all((gateway,), lambda _gateway: verbs)
        if isinstance(answer, GatewayError):
            raise answer
        return answer

    def visit_all(
        self, gateways: Iterable[Gateway], verbs: Callable[[Gateway], Sequence[Verb]], key: str = ""
    ) -> Iterator[tuple[Gateway, Answer | GatewayError]]:
        """The same of many side by side, each with its own verbs; answers and failures as they arrive.

        Secrets are told as hashes under `key`, if there is one.
        """
        asked: dict[str, _Asking] = {}
        began = monotonic()
        lacking: list[Gateway] = []

        def visits(some: Iterable[Gateway]) -> Iterator[Visit]:
            for gateway in some:
                asking = self._asking(gateway, verbs(gateway), waited_s=int(monotonic() - began), key=key)
                asked[gateway.name] = asking
                yield asking.visit

        results = self.transport.visit_all(visits(gateways), at_once=self.fanout)
        self.meanwhile()
        for made, result in results:
            if self._lacks_gzip(result):
                self._plain.add(made.gateway.name)
                lacking.append(made.gateway)
            else:
                yield made.gateway, self._told(asked.pop(made.gateway.name), result)
        for made, result in self.transport.visit_all(visits(lacking), at_once=self.fanout):
            yield made.gateway, self._told(asked.pop(made.gateway.name), result)

    @staticmethod
    def _lacks_gzip(result: Outcome | Exception) -> bool:
        """Whether a gateway said that it cannot unpack what it got; then it has run nothing."""
        return isinstance(result, Outcome) and result.exit == NO_GZIP and result.stdout.count(b"\n") == 1

    def _told(self, asking: "_Asking", result: Outcome | Exception) -> Answer | GatewayError:
        try:
            return self._answer(asking, result)
        except GatewayError as error:
            return error

    def _asking(self, gateway: Gateway, verbs: Sequence[Verb], *, waited_s: int = 0, key: str = "") -> "_Asking":
        """A visit that is to be made.

        What a gateway `waited_s` for its turn, in whole seconds, counts for its deadline, up to half of that: so one
        that is frozen does not hold up a look at many for longer than if it had been the first.
        """
        limit = self.timeout or gateway.command_timeout
        deadline = max(limit - waited_s, limit / 2)
        request = Request(
            nonce=secrets.token_hex(16),
            run=gateway.paths.run,
            etc=gateway.paths.etc,
            bin=gateway.paths.bin,
            log=gateway.paths.log,
            who=self.who,
            deadline=max(1.0, deadline - GRACE_S),
            key=key,
            verbs=tuple(verbs),
        )
        call = Call.of(request, gateway.privilege, plain=gateway.name in self._plain)
        return _Asking(Visit(gateway, call.command, call.stdin, deadline, LIMIT), request)

    def _answer(self, asking: "_Asking", result: Outcome | Exception) -> Answer:
        """What a gateway answered; raises GatewayError unless that is whole."""
        if isinstance(result, Exception):
            raise result
        gateway = asking.visit.gateway
        answer = visit.decode(result.stdout, asking.request.nonce, asking.request.verbs)
        if not answer.complete:
            raise _incomplete(gateway, answer, result)
        if (refused := answer.last("request")) is not None:
            raise _not_understood(gateway, refused)
        if self.keep:
            self.answers[gateway.name] = answer
        return answer


@dataclass(frozen=True, slots=True)
class _Asking:
    """A visit and the request that it carries."""

    visit: Visit
    request: Request


def in_order(names: Iterable[str], looks: Iterable[tuple[str, GatewaySnapshot | GatewayError]]) -> Snapshot:
    """What was seen as a snapshot, the gateways in the order of their names."""
    came = dict(looks)
    seen = {n: look for n in names if not isinstance(look := came.get(n), GatewayError) and look is not None}
    return Snapshot(seen, {n: look for n in names if isinstance(look := came.get(n), GatewayError)})


def _incomplete(gateway: Gateway, answer: Answer, outcome: Outcome) -> IpsecfleetError:
    """Why an answer has no last line: doas refused, perl or the program is not there, or it was cut off."""
    words = outcome.stderr.decode("utf-8", "replace").strip().splitlines()
    said = words[-1][:200] if words else ""
    name = gateway.name
    if answer.handshake is not None and not answer.sections and said.startswith("doas"):
        return GatewayError(
            f"doas on {name} refused: {said}", phase="command", kind="doas", obj=name, hint=_doas_hint(gateway, said)
        )
    if answer.handshake is None:
        return GatewayError(
            f"{name} did not run our command: {said or 'no answer'}",
            kind="command",
            obj=name,
            hint=f"try it by hand: ssh {gateway.address} /bin/sh -c true",
        )
    why = said or f"exit status {outcome.exit}"
    return GatewayError(
        f"the answer of {name} is not whole: {why}",
        kind="incomplete",
        obj=name,
        hint=AGAIN if answer.sections else _program_hint(gateway),
    )


def _not_understood(gateway: Gateway, refused: Section) -> GatewayError:
    """The visit program did nothing of what it was asked, such as an installed one of another version."""
    why = refused.body.decode("utf-8", "replace").strip()
    text = f"the visit program on {gateway.name} refused: {why}"
    return GatewayError(text, kind="request", obj=gateway.name, hint=_program_hint(gateway))


def _program_hint(gateway: Gateway) -> str:
    """What to do when the visit program does not do its work: one that is installed may not be ours."""
    return f"compare what is installed there: {HELP}" if gateway.privilege == "restricted" else AGAIN


def _doas_hint(gateway: Gateway, said: str) -> str:
    """What to do about doas's words (host.md 3): its file is not safe, does not permit us, or there is no program."""
    if "writable" in said or "not owned" in said:
        return "chown root:wheel /etc/doas.conf; chmod 0600 /etc/doas.conf"
    if visit.INSTALLED in said:
        return f"install the visit program there: {HELP}"
    rule = f'permit it in /etc/doas.conf: "{visit.doas_rule(gateway.privilege, gateway.user or "USER")}"'
    return f"{rule}; see {HELP}" if gateway.privilege == "restricted" else rule
