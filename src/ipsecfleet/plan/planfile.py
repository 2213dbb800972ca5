"""A plan as a file: canonical JSON and its digest, to be reviewed now and carried out later, once.

    {"schema": 1, "run": ID, "digest": "sha256:…", "order": {…}, "plan": {…}}

The digest covers the order and the plan with all that it rests on, but not its notes, which are made for reading, and
not the moments of its negotiations, which are another second by second: they keep clear of natural rekeys. There are no
SPIs in a plan, and no secrets. `run` tells one file from another of the same digest: a plan is used once.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, get_origin

from cattrs import Converter, transform_error
from cattrs.errors import BaseValidationError
from cattrs.strategies import configure_tagged_union

from ipsecfleet.errors import IpsecfleetError, OperatorError, RefusedError
from ipsecfleet.model.condition import Condition, OneOf
from ipsecfleet.model.plan import Plan
from ipsecfleet.plan.order import Options, Order

SCHEMA = 1
"""The version of the file that this reads and writes."""


@dataclass(frozen=True, slots=True)
class PlanFile:
    """What a plan file holds; `run` is the run that wrote it."""

    run: str
    order: Order
    plan: Plan

    @property
    def digest(self) -> str:
        """`sha256:` and 64 hex digits, over all but `run` and the plan's notes."""
        said = {"order": _codec().unstructure(self.order), "plan": _encoded(_timeless(self.plan))}
        return "sha256:" + hashlib.sha256(_canonical(said).encode()).hexdigest()

    def encode(self) -> str:
        """The text of the file. A plan that is refused has none."""
        if self.plan.refusals:
            raise RefusedError("a plan that is refused is not written", kind="refused")
        head = {"schema": SCHEMA, "run": self.run, "digest": self.digest}
        return _canonical(head | {"order": _codec().unstructure(self.order), "plan": _encoded(self.plan)}) + "\n"


def decode(text: str, source: str) -> PlanFile:
    """What the file holds; OperatorError where it is none of ours, or is not as it was written."""
    try:
        document = json.loads(text)
        if document["schema"] != SCHEMA:
            raise _bad(source, f"its schema is {document['schema']!r}, this reads {SCHEMA}")
        order = _codec().structure(document["order"], Order)
        found = PlanFile(str(document["run"]), order, _codec().structure(document["plan"], Plan))
        said = document["digest"]
    except BaseValidationError as error:
        raise _bad(source, "; ".join(transform_error(error))) from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _bad(source, f"{type(error).__name__}: {error}") from None
    if said != found.digest:
        raise _bad(source, "it was changed after it was written")
    return found


def _timeless(plan: Plan) -> Plan:
    """What stays the same of a plan for the same fleet, from one moment to the next."""
    without = (replace(n, begin_s=0.0, why="") for n in plan.negotiations)
    ordered = tuple(sorted(without, key=lambda n: (n.tunnel, n.gateway, [s.action for s in n.steps])))
    return replace(plan, notes=(), negotiations=ordered)


def _bad(source: str, why: str) -> OperatorError:
    hint = "make one by --plan-out FILE"
    return OperatorError(f"{source} is not a plan to carry out: {why}", kind="plan", obj=source, hint=hint)


def _encoded(plan: Plan) -> dict[str, Any]:
    encoded: dict[str, Any] = _codec().unstructure(replace(plan, refusals=()))
    return encoded


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


@cache
def _codec() -> Converter:
    """Dataclasses to objects and back, strictly; what is one of several carries its name as `is`."""
    converter = Converter(forbid_extra_keys=True)
    for kind in (IPv4Network, IPv6Network):
        converter.register_unstructure_hook(kind, str)
    converter.register_structure_hook(IPv4Network | IPv6Network, lambda text, _kind: ip_network(text))
    converter.register_unstructure_hook_func(_is_set, sorted)
    converter.register_structure_hook(IpsecfleetError, _no_refusals)
    conditions: Any = OneOf
    for union in (conditions, Options):
        configure_tagged_union(union, converter, tag_name="is")
    converter.register_structure_hook(Condition, lambda said, _kind: converter.structure(said, conditions))
    converter.register_unstructure_hook(Condition, lambda condition: converter.unstructure(condition, conditions))
    return converter


def _is_set(kind: Any) -> bool:
    origin: Any = get_origin(kind)
    return origin is frozenset


def _no_refusals(_value: object, _type: object) -> IpsecfleetError:
    raise ValueError("a plan that is refused cannot be carried out")
