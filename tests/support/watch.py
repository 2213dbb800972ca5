"""What a simulated fleet did, from its event logs alone: outages of tunnels, and how many keys were computed at once.

It knows nothing of ipsecfleet: flows and SAs come and go, negotiations begin and end, each with its moment.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

Event = Mapping[str, object]
Place = tuple[str, str, str]
"""A gateway with the local and the remote network of a tunnel."""


def outages(events: Iterable[Event], since: float) -> dict[Place, float]:
    """For how many seconds since then each place had no flow out, no flow in or no SA, in all."""
    lost: defaultdict[Place, float] = defaultdict(float)
    there: dict[Place, set[object]] = defaultdict(set)
    down: dict[Place, float] = {}
    at = since
    for event in sorted(events, key=_moment):
        place, kind, at = _place(event), str(event["event"]), _moment(event)
        if place is None or kind not in {"flow-add", "flow-delete", "sa-ready", "sa-gone"}:
            continue
        what = event["direction"] if kind.startswith("flow") else event["spi"]
        was = _carries(there[place])
        there[place] = there[place] | {what} if kind in {"flow-add", "sa-ready"} else there[place] - {what}
        if was and not _carries(there[place]):
            down[place] = at
        elif not was and place in down and _carries(there[place]):
            began = max(down.pop(place), since)
            lost[place] += max(0.0, at - began)
    for place, began in down.items():
        lost[place] += max(0.0, at - max(began, since))
    return {place: lost[place] for place in there}


def busiest(events: Iterable[Event], since: float) -> dict[str, int]:
    """How many negotiations each machine had under way at one moment, at most, since then."""
    peak: defaultdict[str, int] = defaultdict(int)
    running: defaultdict[str, int] = defaultdict(int)
    for event in sorted(events, key=_moment):
        name = str(event["gateway"])
        step = {"exchange-start": 1, "exchange-end": -1}.get(str(event["event"]), 0)
        running[name] = max(0, running[name] + step)
        if step > 0 and _moment(event) >= since:
            peak[name] = max(peak[name], running[name])
    return peak


def beginnings(events: Iterable[Event], since: float) -> dict[str, list[float]]:
    """When each machine took part in a new phase 2 since then."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for event in sorted(events, key=_moment):
        if event["event"] == "exchange-start" and event["phase"] == 2 and _moment(event) >= since:
            found[str(event["gateway"])].append(_moment(event))
    return found


def lines(events: Iterable[Event], gateway: str) -> Iterator[str]:
    """What was written to a gateway's FIFO."""
    return (str(e["line"]) for e in events if e["event"] == "fifo" and e["gateway"] == gateway)


def _carries(what: set[object]) -> bool:
    return {"in", "out"} <= what and len(what) > 2


def _place(event: Event) -> Place | None:
    if event.get("local") is None:
        return None
    return str(event["gateway"]), str(event["local"]), str(event["remote"])


def _moment(event: Event) -> float:
    at = event["at"]
    assert isinstance(at, float | int)
    return float(at)
