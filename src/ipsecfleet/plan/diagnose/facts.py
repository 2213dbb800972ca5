"""What stands at one end, in words, to be read beside the other end."""

from collections.abc import Iterator

from ipsecfleet.isakmpd.terms import Terms
from ipsecfleet.model.diagnosis import EndFacts
from ipsecfleet.model.sa import Exchange
from ipsecfleet.model.snapshot import Unknown
from ipsecfleet.plan.diagnose.side import Side
from ipsecfleet.plan.diagnose.standing import flows
from ipsecfleet.plan.diagnose.verdict import listed


def facts_of(side: Side) -> EndFacts:
    """The facts of one side of a case."""
    kept = side.connection.kept_up
    return EndFacts(
        gateway=side.name,
        state=side.end.state.value,
        listed=listed(side),
        phase1=_phase1(side),
        phase2=_phase2(side),
        flows=_flows(side),
        file=_file(side),
        next_check=f"in {kept.next_check_s} s" if kept is not None else None,
    )


def _phase1(side: Side) -> str | None:
    ready = [sa for sa in side.end.phase1_sas if not sa.replaced]
    under_way = next((x for x in side.exchanges if x.phase == 1 and not x.finished), None)
    if under_way is not None:
        return _under_way(under_way)
    if not ready:
        return "none"
    who = "we began" if ready[0].begun_by_us else "the peer began"
    return f"stands, {who}" + (f" {ready[0].age_s} s ago" if ready[0].age_s is not None else "")


def _phase2(side: Side) -> str | None:
    under_way = next((x for x in side.exchanges if x.phase > 1 and not x.finished), None)
    live = side.end.live
    if live:
        return f"live, negotiated {live[0].age_s} s ago" if live[0].age_s is not None else "live"
    return _under_way(under_way) if under_way is not None else "none"


def _under_way(exchange: Exchange) -> str:
    who = "we began" if exchange.ours else "the peer began"
    step = f", step {exchange.step}" if exchange.step else ""
    first, last = exchange.ends_after_s, exchange.ends_in_s
    until = "" if last is None else f", ends in {last} s" if first == last else f", ends in {first} to {last} s"
    return f"half-open, {who}{step}{until}"


def _flows(side: Side) -> str | None:
    return None if isinstance(side.seen.flows, Unknown) else flows(side) or "none"


def _file(side: Side) -> str | None:
    """Whether the conf file on the disk is what the daemon has."""
    if side.path is None or side.path not in side.witness.files:
        return None
    if side.witness.files[side.path] is None:
        return "not there"
    if side.meaning is None:
        return "not readable"
    if side.filed is None:
        return "without this tunnel"
    if side.end.connection is None:
        return "there, not loaded"
    differs = ", ".join(_differing(side.terms, side.filed_terms))
    return f"not as loaded: {differs}" if differs else "as loaded"


def _differing(loaded: Terms | None, filed: Terms | None) -> Iterator[str]:
    """What the file has otherwise; transforms of other rules for the same peer are loaded beside its own (groundtruth 2.1)."""
    if loaded is None or filed is None:
        return
    pairs: dict[str, tuple[object, object]] = {
        "transforms": (tuple(t for t in filed.transforms if t not in loaded.transforms), ()),
        "srcid": (loaded.own_id, filed.own_id),
        "dstid": (loaded.expected_id, filed.expected_id),
        "key": (loaded.key or filed.key, filed.key or loaded.key),
    }
    yield from (what for what, (one, other) in pairs.items() if one != other)
