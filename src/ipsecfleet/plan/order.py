"""What the operator asked for, kept with its plan: so it can be planned again for the fleet as it is later.

A planner asks for what is missing only, so planning again after an interruption gives what is left, whatever became of
the steps that were under way.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ipsecfleet.errors import OperatorError
from ipsecfleet.model.net import same_address
from ipsecfleet.model.plan import Plan, Target
from ipsecfleet.model.tunnel import End, State, Tunnel
from ipsecfleet.plan.basis import rested
from ipsecfleet.plan.deploy import RolloutOptions
from ipsecfleet.plan.down import DownOptions, plan_down
from ipsecfleet.plan.forecast import outlook
from ipsecfleet.plan.rekey import RekeyOptions, plan_rekey
from ipsecfleet.plan.renewal import Spis
from ipsecfleet.plan.restart import RestartOptions, plan_restart
from ipsecfleet.plan.up import UpOptions, plan_up
from ipsecfleet.plan.view import View

Options = DownOptions | UpOptions | RestartOptions | RekeyOptions | RolloutOptions
VERBS = {
    DownOptions: "down", UpOptions: "up", RestartOptions: "restart", RekeyOptions: "rekey", RolloutOptions: "rollout",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Order:
    """One changing verb with its options, and the gateways that are visited for it."""

    options: Options
    gateways: tuple[str, ...] = ()

    @property
    def verb(self) -> str:
        return VERBS[type(self.options)]


def plan_for(order: Order, view: View, chosen: Sequence[Tunnel], before: Spis | None = None) -> Plan:
    """The plan that carries the order out for these tunnels, with what it rests on.

    Of an order that was begun, `before` are the SPIs of its beginning: what has others is renewed already.
    """
    readable = [t for t in chosen if any(e.state is not State.UNKNOWN for e in t.ends)]
    plan = _plan(order.options, view, readable, before)
    plan = replace(plan, notes=(*plan.notes, *outlook(view, plan)))
    return plan if "stale-plan" in order.options.forced else rested(plan, view)


def _plan(options: Options, view: View, chosen: Sequence[Tunnel], before: Spis | None) -> Plan:
    match options:
        case DownOptions():
            return plan_down(view, chosen, options)
        case UpOptions():
            return plan_up(view, chosen, options)
        case RestartOptions():
            return plan_restart(view, chosen, options, before)
        case RekeyOptions():
            return plan_rekey(view, chosen, options, before)
        case RolloutOptions():
            hint = "rollout apply does what is left; rollout rollback RUN goes back"
            raise OperatorError("a rollout is not planned without its files", kind="rollout", obj="rollout", hint=hint)


def chosen_again(view: View, targets: Iterable[Target]) -> tuple[Tunnel, ...]:
    """The tunnels that the targets of an earlier plan are about, as the view has them now."""
    wanted = tuple(targets)
    return tuple(t for t in view.tunnels if any(_is_of(t, e, target) for target in wanted for e in t.ends))


def _is_of(tunnel: Tunnel, end: End, target: Target) -> bool:
    if end.gateway != target.gateway:
        return False
    if tunnel.known and tunnel.name == target.tunnel:
        return True
    named = end.connection is not None and end.connection == target.connection
    networks = end.selectors is not None and end.selectors == target.selectors and same_address(end.peer, target.peer)
    return named or networks
