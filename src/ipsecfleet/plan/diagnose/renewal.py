"""Verdicts on what is up, and is not renewed.

Each end draws a soft timeout of its own, from 85.0 to 94.9 % of the lifetime (groundtruth 4). The end that keeps the SA
alive renews it at its own; any other end is marked at its, which means nothing while the first one's is still to come.
A renewal is tried once: where that fails the SA is gone at its hard timeout, and whoever keeps it up begins anew.
"""

from dataclasses import replace

from ipsecfleet.model.diagnosis import Cause, Suspect
from ipsecfleet.model.notice import Kind
from ipsecfleet.model.sa import Sa
from ipsecfleet.plan.diagnose import suspects
from ipsecfleet.plan.diagnose.case import Case
from ipsecfleet.plan.diagnose.refusals import refused
from ipsecfleet.plan.diagnose.side import Side
from ipsecfleet.plan.diagnose.verdict import Verdict, command, quoted, recent, seen, standing_in

EARLIEST_LEFT, LATEST_LEFT = 0.15, 0.05
"""Which part of a lifetime is left at a soft timeout, at most and at least."""


def unrenewed(case: Case) -> Verdict | None:
    """The soft timeout of the end that renews it is over, and so is its renewal; or no end is one that renews."""
    live = [(s, sa) for s in case.sides for sa in s.end.live]
    keepers = [(s, sa) for s, sa in live if sa.stayalive]
    if any(sa.soft_s is not None or s.trying() is not None for s, sa in keepers):
        return None
    side, sa = next(((s, sa) for s, sa in keepers or live if sa.soft_s is None), (None, None))
    if side is None or sa is None or sa.hard_s is None:
        return None
    if keepers:
        return _failed(case, side, sa, sa.hard_s)
    return _by_nobody(case, side, sa.hard_s) if case.whole else _awaited(case, side, sa, sa.hard_s)


def _failed(case: Case, side: Side, sa: Sa, left_s: int) -> Verdict:
    """What became of the renewal: refused, unanswered, or never begun."""
    since_s = (sa.lifetime_s or 0) * EARLIEST_LEFT - left_s
    why = refused(case, since_s)
    if why is not None:
        return replace(why, text=f"its renewal failed, and it is gone in {left_s} s: {why.text}")
    told = recent(side.notices(Kind.UNANSWERED), side, since_s)
    if told:
        return Verdict(
            None,
            f"its renewal was not answered; it is gone in {left_s} s, and tried anew then",
            quoted(side, *told),
            suspects.of_given_up(side, told[0]),
            (command("rekey", case), command("diagnose", case, "--watch 10")),
        )
    return Verdict(
        Cause.NOBODY_RENEWS,
        f"it is up, and {side.name} does not renew it: gone in {left_s} s",
        (seen(side, "its soft timeout is over, and no renewal is under way"), *standing_in(case)),
        (
            Suspect(Cause.PASSIVE_MODE.value, f"{side.name} was told so by sasyncd, or isakmpd runs there with -S"),
            Suspect("its renewal was not answered", f"the log of {side.name}: giving up on exchange"),
        ),
        in_passive_mode(side),
    )


def in_passive_mode(side: Side) -> tuple[str, ...]:
    """What to type to see whether a daemon was told not to begin anything."""
    return tuple(
        f"on {side.name}: {line}" for line in ("ifconfig carp", "rcctl get isakmpd flags", "rcctl check sasyncd")
    )


def _by_nobody(case: Case, side: Side, left_s: int) -> Verdict:
    return Verdict(
        Cause.NOBODY_RENEWS,
        f"it is up, and nobody renews it: gone in {left_s} s",
        (seen(side, "its soft timeout is over, and neither end keeps it alive"), *standing_in(case)),
        next=(command("rekey", case),),
    )


def _awaited(case: Case, side: Side, sa: Sa, left_s: int) -> Verdict | None:
    """The other end is not ours, or was not read, and lets its own soft timeout go by, if it has one like isakmpd's."""
    if left_s > (sa.lifetime_s or 0) * LATEST_LEFT:
        return None
    return Verdict(
        None,
        f"it is up, {side.peer} has not renewed it, and it is gone in {left_s} s",
        (seen(side, "its soft timeout is over, and it is not renewed from here"), *standing_in(case)),
        (
            Suspect(Cause.NOBODY_RENEWS.value, "it is gone then, with its flows"),
            Suspect("the peer is no isakmpd, and renews late", "it is renewed before that"),
        ),
        (command("diagnose", case, "--watch 10"),),
    )
