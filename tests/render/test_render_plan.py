from collections.abc import Callable
from dataclasses import replace

import pytest

from ipsecfleet.errors import RefusedError
from ipsecfleet.isakmpd.steps import lines_of
from ipsecfleet.model.document import Document
from ipsecfleet.model.plan import Action, Plan, Step, Undo, Wave
from ipsecfleet.model.snapshot import Listing
from ipsecfleet.render import RENDERERS, dry_run_text, plan_text

Golden = Callable[[str, str], None]
UNDO = Undo(None, "")


def step(gateway: str, tunnel: str, action: Action, number: int = 1) -> Step:
    name, peer = f"from-172.16.{number}.0/24-to-192.168.{number}.0/24", f"10.2.{number}.1"
    file = f"/etc/IPsec/{tunnel}.conf"
    return Step(gateway, tunnel, action, (), (), UNDO, name, Listing.ACTIVE, f"peer-{peer}", peer, file)


def down(gateway: str, tunnel: str, number: int = 1) -> tuple[Step, ...]:
    return tuple(step(gateway, tunnel, action, number) for action in (Action.HOLD, Action.QUICK))


def clear(number: int) -> str:
    return f"traffic between 172.16.{number}.0/24 and 192.168.{number}.0/24 may leave in clear"


def refusal(force: str, message: str) -> RefusedError:
    return RefusedError(message, force=force, kind=force, hint=f"--force {force} lifts this for one run")


WAKES = "hub-fra1: the re-initialisation 5 s later wakes from-172.16.7.0/24-to-192.168.7.0/24"
ONE = Plan(
    "down",
    (Wave((*down("hub-fra1", "customer-1"), step("hub-fra1", "customer-1", Action.MAIN))),),
    notes=(clear(1), WAKES),
    settle_s=8,
    look_again_s=70,
)
BOTH_ENDS = Plan(
    "up",
    (
        Wave((step("br-oslo", "oslo-fra", Action.RELEASE),)),
        Wave(
            tuple(step("hub-fra1", "oslo-fra", a) for a in (Action.RELEASE, Action.CONNECT)),
            6,
            "the passive end counts from its re-initialisation",
        ),
    ),
)
FILES = Plan("down", (Wave((step("hub-fra1", "customer-1", Action.UNLOAD),)),), already=("customer-2",))
SIX = Plan(
    "down",
    (Wave(tuple(s for n in range(1, 7) for s in down("hub-fra1", f"customer-{n}", n))),),
    notes=(*map(clear, range(1, 7)), WAKES),
    settle_s=8,
)
FLEET = Plan(
    "down",
    (
        Wave(
            tuple(
                s
                for n in range(1, 201)
                for s in (
                    *down(f"gw{n % 23:02}", f"customer-{n}", n % 250),
                    step(f"gw{n % 23:02}", f"customer-{n}", Action.MAIN, n % 250),
                )
            )
        ),
    ),
    notes=tuple(map(clear, range(1, 201))),
    already=tuple(f"customer-{n}" for n in range(201, 240)),
    refusals=(
        refusal("tunnels-down", "200 of 204 tunnels that are up would go down, 20 may (max_tunnels_down 10%)"),
        refusal("gateways-touched", "23 of 24 gateways would be touched, 6 may (max_gateways_touched 25%)"),
        *(refusal("shared-name", f"customer-{n} shares its name with another peer's tunnel") for n in range(20)),
    ),
    settle_s=8,
)
FLEET_FORCED = replace(FLEET, refusals=())
MANY = ", ".join(f"from-172.16.{n}.0/24-to-192.168.{n}.0/24" for n in range(60))
HUGE_REFUSAL = Plan(
    "down",
    ONE.waves,
    notes=ONE.notes,
    refusals=(refusal("wakes-others", f"hub-fra1 would start 60 other tunnels in one second: {MANY}"),),
)
NOTHING = Plan("down", already=("customer-1",))
HOSTILE = Plan(
    "down", (Wave((Step("gw\x1b[2J", "x\ny", Action.QUICK, (), (), UNDO, "a", peer="\u202e"),)),), notes=("line\rover",)
)
PLANS = {
    "one": ONE,
    "both-ends": BOTH_ENDS,
    "files": FILES,
    "six": SIX,
    "fleet": FLEET,
    "fleet-forced": FLEET_FORCED,
    "huge-refusal": HUGE_REFUSAL,
    "nothing": NOTHING,
    "hostile": HOSTILE,
}


@pytest.mark.parametrize("name", PLANS)
def test_golden_prompt(name: str, golden: Golden) -> None:
    golden(f"plan-{name}.txt", plan_text(PLANS[name], lines_of))


@pytest.mark.parametrize("name", ["one", "both-ends", "files", "six", "nothing"])
def test_golden_dry_run(name: str, golden: Golden) -> None:
    golden(f"dry-run-{name}.txt", dry_run_text(PLANS[name], lines_of))


@pytest.mark.parametrize("width", [40, 80, 132])
@pytest.mark.parametrize("name", PLANS)
def test_the_prompt_has_fifteen_lines_at_most(name: str, width: int) -> None:
    assert len(plan_text(PLANS[name], lines_of, width).splitlines()) <= 15


def test_every_forced_name_is_told_or_counted() -> None:
    for plan in PLANS.values():
        text = plan_text(plan, lines_of)
        assert all(r.force in text for r in plan.refusals)


def test_a_dry_run_has_every_line_of_every_step() -> None:
    text = dry_run_text(FLEET, lines_of, fifos={"gw01": "/tmp/lab/isakmpd.fifo"})
    commands = [line for line in text.splitlines() if line.startswith("echo ")]
    assert len(commands) == sum(len(lines_of(s)) for s in FLEET.steps)
    assert sum("/tmp/lab/isakmpd.fifo" in c for c in commands) == 9 * 4


def test_a_dry_run_lists_all_refusals_and_notes() -> None:
    lines = dry_run_text(FLEET, lines_of, width=200).splitlines()
    assert sum(line.startswith("refused: ") for line in lines) == len(FLEET.refusals)
    assert set(FLEET.notes) <= set(lines)


def test_json_tells_the_notes_and_refusals_of_a_plan_once() -> None:
    text = RENDERERS["json"](Document("down", plan=FLEET, errors=FLEET.refusals[:2]))
    assert text.count('"kind": "note"') == len(FLEET.notes)
    assert text.count('"force": "tunnels-down"') == 1
