import pytest
from facts import nets
from hypothesis import given
from hypothesis import strategies as st

from ipsecfleet.errors import RefusedError
from ipsecfleet.isakmpd import fifo
from ipsecfleet.isakmpd.steps import batches, command_of, lines_of
from ipsecfleet.isakmpd.verbs import Deny, Load, Open, Unload, Write
from ipsecfleet.model.plan import Action, Step, Undo
from ipsecfleet.model.snapshot import Listing

N = "from-172.16.1.0/24-to-192.168.1.0/24"
PEER = "10.2.1.1"
P = "peer-10.2.1.1"
FILE = "/etc/IPsec/customer-1.conf"


def step(action: Action, **operands: object) -> Step:
    return Step("hub", "customer-1", action, (), (), Undo(None, "a test"), **operands)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "lines"),
    [
        (step(Action.HOLD, connection=N, listing=Listing.ACTIVE),
         (f"C add [ipsecfleet]:Held-Connections={N}", f"C rmv [Phase 2]:Connections={N}")),
        (step(Action.HOLD, connection=N, listing=Listing.PASSIVE),
         (f"C add [ipsecfleet]:Held-Passive-Connections={N}", f"C rmv [Phase 2]:Passive-Connections={N}")),
        (step(Action.RELEASE, connection=N, listing=Listing.PASSIVE),
         (f"C add [Phase 2]:Passive-Connections={N}", f"C rmv [ipsecfleet]:Held-Passive-Connections={N}")),
        (step(Action.QUICK, connection=N, peer=PEER), (f"t quick {N}",)),
        (step(Action.MAIN, phase1=P, peer=PEER), (f"t main {P}",)),
        (step(Action.CONNECT, connection=N), (f"c {N}",)),
        (step(Action.PEER_OFF, phase1=P, peer=PEER),
         (f"C set [ipsecfleet]:peer-of-{PEER}={P} force", f"C add [ipsecfleet]:Held-Peers={PEER}", f"C rm [Phase 1]:{PEER}")),
        (step(Action.RELEASE, phase1=P, peer=PEER),
         (f"C set [Phase 1]:{PEER}={P} force", f"C rmv [ipsecfleet]:Held-Peers={PEER}", f"C rm [ipsecfleet]:peer-of-{PEER}")),
        (step(Action.LOAD, file=FILE), ()),
        (step(Action.UNLOAD, file=FILE), ()),
    ],
)  # fmt: skip
def test_the_lines_of_each_action(made: Step, lines: tuple[str, ...]) -> None:
    """What must be remembered is written before what it describes is taken away."""
    assert lines_of(made) == lines


@pytest.mark.parametrize("name", ["two words", "x\nT", "", "n" * 201, "from-ü", "a,b", "a]b"])
def test_a_bad_name_never_becomes_a_line(name: str) -> None:
    with pytest.raises(RefusedError):
        lines_of(step(Action.QUICK, connection=name))


def test_files_are_ipsecctls() -> None:
    load, unload = step(Action.LOAD, file=FILE), step(Action.UNLOAD, file=FILE)
    assert (command_of(load), command_of(unload)) == (f"ipsecctl -f {FILE}", f"ipsecctl -d -f {FILE}")
    assert command_of(step(Action.MAIN, phase1=P)) is None
    quick = step(Action.QUICK, connection=N)
    made = batches([quick, unload, quick, quick, load])
    assert [type(b.verbs[0]) for b in made] == [Write, Unload, Write, Load]
    assert [len(b.steps) for b in made] == [1, 1, 2, 1]


def test_flows_are_ipsecctls_too() -> None:
    deny, let_out = (step(a, selectors=nets(N)) for a in (Action.DENY, Action.OPEN))
    line = "echo flow esp from 172.16.1.0/24 to 192.168.1.0/24 type deny | ipsecctl"
    assert (command_of(deny), command_of(let_out)) == (f"{line} -f -", f"{line} -d -f -")
    assert [b.verbs for b in batches([deny, let_out])] == [(Deny(nets(N)),), (Open(nets(N)),)]
    assert lines_of(deny) == lines_of(let_out) == ()


NAMES = st.integers(1, 200).map(lambda n: "n" * n)
ACTIONS = st.sampled_from([Action.HOLD, Action.RELEASE, Action.QUICK, Action.MAIN, Action.CONNECT, Action.PEER_OFF])
STEPS = st.builds(
    lambda action, name, listing: step(
        action, connection=None if action is Action.PEER_OFF else name, listing=listing, phase1=name, peer="2001:db8::1"
    ),
    ACTIONS,
    NAMES,
    st.sampled_from([Listing.ACTIVE, Listing.PASSIVE]),
)


@given(st.lists(STEPS, max_size=30))
def test_a_write_takes_512_bytes_at_most_and_keeps_the_lines_of_a_step_together(steps: list[Step]) -> None:
    made = batches(steps)
    assert [s for b in made for s in b.steps] == steps
    for batch in made:
        (write,) = batch.verbs
        assert isinstance(write, Write)
        assert fifo.size(write.commands) <= 512
        assert write.commands == tuple(line for s in batch.steps for line in lines_of(s))


@given(st.lists(STEPS, max_size=30))
def test_no_two_writes_would_fit_into_one(steps: list[Step]) -> None:
    sizes = [sum(fifo.size(lines_of(s)) for s in b.steps) for b in batches(steps)]
    firsts = [fifo.size(lines_of(b.steps[0])) for b in batches(steps)]
    assert all(size + first > 512 for size, first in zip(sizes, firsts[1:], strict=False))
