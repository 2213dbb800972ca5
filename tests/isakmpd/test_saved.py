import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecfleet.errors import GatewayError, OperatorError, UnreachableError
from ipsecfleet.isakmpd.saved import decode, encode
from ipsecfleet.isakmpd.snapshot import snapshot_of
from ipsecfleet.isakmpd.visit import Answer, Section
from ipsecfleet.model.snapshot import Unknown

SECTIONS = st.lists(
    st.builds(
        Section,
        st.sampled_from(["report", "connections", "sad", "exchanges"]),
        st.sampled_from(["ok", "failed"]),
        st.binary(),
    )
)
ANSWERS = st.builds(
    Answer,
    sections=SECTIONS.map(tuple),
    complete=st.just(True),
    handshake=st.none() | st.text(alphabet="0123456789. "),
    conf=st.dictionaries(st.just("/etc/IPsec/x.conf"), st.binary() | st.just(Unknown("not read"))),
)


@given(st.dictionaries(st.sampled_from(["hub", "branch"]), ANSWERS))
def test_a_snapshot_comes_back_as_it_was(answers: dict[str, Answer]) -> None:
    back = decode(encode(answers, {}), "f")
    assert back.gateways == {name: snapshot_of(name, answer) for name, answer in answers.items()}


@pytest.mark.parametrize(
    "error",
    [
        UnreachableError("no answer: hub", phase="tcp", hint="ping it", kind="tcp", obj="hub"),
        GatewayError("doas on hub refused", phase="command", hint="permit it", kind="doas", obj="hub"),
    ],
)
def test_who_gave_no_answer_comes_back_too(error: GatewayError) -> None:
    (back,) = decode(encode({}, {"hub": error}), "f").failed.values()
    assert (type(back), back.message, back.phase, back.hint, back.kind, back.obj) == (
        type(error), error.message, error.phase, error.hint, error.kind, "hub",
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "7", "{}", "null", '{"schema": 1}', '{"schema": 1, "gateways": [], "failed": {}}',
        '{"schema": 1, "gateways": {"hub": {"sections": [["a", "b"]], "handshake": null}}, "failed": {}}',
        '{"schema": 1, "gateways": {"hub": {"sections": [["a", "b", "\\ud800"]], "handshake": null}}, "failed": {}}',
        '{"schema": 1, "gateways": {}, "failed": {"hub": {}}}', "[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_saved_snapshot(text: str) -> None:
    with pytest.raises(OperatorError, match="f is not a saved snapshot: "):
        decode(text, "f")


def test_another_schema_is_named() -> None:
    text = json.dumps({"schema": 2, "gateways": {}, "failed": {}})
    with pytest.raises(OperatorError, match="f is a snapshot of schema 2, this reads 1"):
        decode(text, "f")
