"""What stands on stdout: one JSON object whatever happens, TABs in plain, 80 columns and whole names in a pipe."""

import json
import os
import pty
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cli import Lab, Operator, Ran, side_by_side

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]
SCHEMA = Draft202012Validator(json.loads((files("ipsecfleet.render") / "schema.json").read_text()))
CONF, REPORT = str(ROOT / "examples/new-customer.conf"), str(ROOT / "examples/isakmpd.result")
WRONG_KEY = "SHA256:" + "A" * 43
ESCAPE = "\x1b["
ERASED = "\r\x1b[K"
"""What a line of progress leaves on a terminal."""

WHAT = ("tunnels", "sas", "flows", "gateways")

Case = tuple[list[str], int, str]


def held_to_the_schema(ran: Ran) -> Any:
    document = ran.json
    SCHEMA.validate(document)
    assert document["exit_code"] == ran.code
    return document


def as_promised(run: Operator, cases: Sequence[Case]) -> None:
    """Each command's JSON is one valid object with this exit code and result, and says why if it failed."""
    for (words, code, result), ran in zip(cases, side_by_side(run, [words for words, _, _ in cases]), strict=True):
        document = held_to_the_schema(ran)
        assert (ran.code, document["result"]) == (code, result), (words, ran)
        assert code in {0, 6} or document["errors"], (words, ran)


LINE = SCHEMA.evolve(schema=SCHEMA.schema["$defs"]["ndjson"])


def lines_of(ran: Ran) -> tuple[list[Any], Any]:
    """The gateways' lines of ndjson, and its summary; each is valid, and none is of a gateway told before."""
    *gateways, last = [json.loads(line) for line in ran.out.splitlines()]
    for line in (*gateways, last):
        LINE.validate(line)
    names = [line["gateway"]["gateway"] for line in gateways]
    assert len(set(names)) == len(names)
    assert last["summary"]["exit_code"] == ran.code
    assert ran.err == ""
    return gateways, last["summary"]


def json_of(*words: str) -> list[str]:
    return [*words, "-o", "json"]


# --- JSON -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shown(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Ran]:
    """Everything there is to show, in every format, of one moment."""
    saved = str(tmp_path_factory.mktemp("saved") / "snapshot.json")
    assert lab.run("show", "--save", saved).code == 0
    asked = [(what, form) for what in WHAT for form in ("table", "plain", "json")]
    return {(what, form): lab.run("show", what, "--from-snapshot", saved, "-o", form) for what, form in asked}


@pytest.mark.parametrize("what", WHAT)
def test_show_says_one_object(shown: dict[tuple[str, str], Ran], what: str) -> None:
    document = held_to_the_schema(shown[what, "json"])
    assert (document["result"], document["command"]) == ("ok", f"show {what}")
    assert document[what]


def test_every_other_reading_verb_says_one_object(lab: Lab) -> None:
    verbs = [json_of("lines", "-t", "customer-1"), json_of("check", "-g", "hub-fra1")]
    as_promised(lab.run, [(words, 0, "ok") for words in verbs])


def test_every_offline_verb_says_one_object(lab: Lab) -> None:
    verbs = [
        json_of("names", CONF),
        json_of("inventory", "list"),
        json_of("lab", "status", "--dir", str(lab.root)),
        json_of("lines", "--from-file", REPORT, "-p", "10.2.2.1"),
        json_of("show", "sas", "--from-file", REPORT),
    ]
    as_promised(lab.run, [(words, 0, "ok") for words in verbs])


def test_what_is_about_conf_files_says_one_object(lab: Lab) -> None:
    verbs = [(json_of("inventory", "check"), 6), (json_of("diff"), 6)]
    as_promised(lab.run, [(words, code, "findings") for words, code in verbs])
    as_promised(lab.run, [(json_of("rollout", "plan"), 0, "nothing")])


def test_every_changing_verb_says_one_object(lab: Lab) -> None:
    as_promised(
        lab.run,
        [
            (json_of("down", "-t", "customer-1", "-n"), 0, "ok"),
            (json_of("up", "-t", "customer-1", "-n"), 0, "nothing"),
            (json_of("down", "-t", "*", "-n"), 4, "refused"),
            (json_of("trust", "hub-fra1", "--fingerprint", WRONG_KEY, "--replace"), 4, "refused"),
        ],
    )


def test_what_the_parser_refuses_is_an_object_too(alone: Operator) -> None:
    as_promised(
        alone,
        [
            (json_of("shwo"), 2, "usage"),
            (["-o", "json", "show", "--nonsense"], 2, "usage"),
            (["--output=json", "names"], 2, "usage"),
            (["-ojson", "show", "-f", "none"], 2, "usage"),
            (json_of("down", "-t"), 2, "usage"),
            (json_of("down", "-t", "customer-1", "--once", "--remove"), 2, "usage"),
            (json_of("-i", "/nowhere", "show"), 2, "usage"),
            (json_of("show", "--force", "everything"), 2, "usage"),
            (json_of("names", "/nowhere/a.conf"), 2, "usage"),
            (json_of("names", REPORT), 2, "usage"),
            (json_of("inventory", "check"), 2, "usage"),
            (json_of("lab", "fault", "off", "--dir", "/nowhere"), 2, "usage"),
        ],
    )


def test_failures_on_the_way_are_objects(lab: Lab) -> None:
    with lab.fault("ssh-refused", "br-turku"), lab.fault("report-garbled", "br-oslo"):
        as_promised(
            lab.run,
            [
                (json_of("show"), 3, "unreachable"),
                (json_of("show", "-p", "10.9.9.9"), 3, "unreachable"),
                (json_of("show", "-p", "10.9.9.9", "-x", "br-turku,br-oslo"), 5, "nothing"),
                (json_of("check", "-g", "br-turku"), 3, "unreachable"),
                (json_of("down", "-t", "turku-fra", "--yes"), 4, "refused"),
                (json_of("down", "-t", "customer-1", "-n"), 0, "ok"),
                (json_of("down", "-t", "oslo-fra", "--yes"), 4, "refused"),
            ],
        )


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_is_an_object(lab: Lab, tmp_path: Path, how: signal.Signals, code: int) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        change = (f"port = {lab.port('hub-fra1')}\n", f"port = {silent.getsockname()[1]}\n")
        run = lab.as_if(tmp_path / "i.toml", change)
        running = run.start("show", "-g", "hub-fra1", "--connect-timeout", "30s", "-o", "json")
        silent.settimeout(20)
        with closing(silent.accept()[0]):
            running.process.send_signal(how)
            ran = running.ended(within=15)
    assert held_to_the_schema(ran)["result"] == "interrupted"
    assert ran.code == code


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_in_a_finaliser_is_not_lost(alone: Operator, how: signal.Signals, code: int) -> None:
    ran = alone.crashing("-o", "json", "interrupted", str(int(how)))
    assert (ran.code, held_to_the_schema(ran)["result"], ran.err) == (code, "interrupted", "")


def test_a_mistake_of_ours_is_an_object(alone: Operator) -> None:
    ran = alone.crashing("-o", "json", "crash")
    document = held_to_the_schema(ran)
    assert (ran.code, document["result"], ran.err) == (70, "bug", "")
    report = Path(document["errors"][0]["hint"].removeprefix("report "))
    assert "RuntimeError: this is broken" in report.read_text()
    assert report.stat().st_mode & 0o777 == 0o600


def test_a_mistake_whose_traceback_cannot_be_kept_is_an_object_too(alone: Operator, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = replace(alone, settings={"XDG_STATE_HOME": str(tmp_path / "file")}).crashing("-o", "json", "crash")
    assert held_to_the_schema(ran)["result"] == "bug"
    assert (ran.code, ran.err) == (70, "")


# --- ndjson ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["sas", "flows"])
def test_ndjson_has_on_a_gateways_line_what_json_has_of_it(lab: Lab, what: str) -> None:
    gateways, summary = lines_of(lab.run("show", what, "-o", "ndjson"))
    assert {line["gateway"]["gateway"] for line in gateways} == set(lab.gateways)
    assert what not in summary
    assert any(line[what] for line in gateways)
    assert all(record["gateway"] == line["gateway"]["gateway"] for line in gateways for record in line[what])


def test_ndjson_of_selected_tunnels_is_that_of_json(lab: Lab) -> None:
    asked = ("show", "flows", "-t", "oslo-fra")
    ndjson, whole = side_by_side(lab.run, [[*asked, "-o", "ndjson"], json_of(*asked)])
    gateways, _ = lines_of(ndjson)
    assert [flow for line in gateways for flow in line["flows"]] == whole.json["flows"]


def test_every_verb_says_lines(lab: Lab) -> None:
    verbs = [
        ("show",), ("lines", "-t", "customer-1"), ("check",), ("down", "-t", "customer-1", "-n"), ("names", CONF),
        ("inventory", "list"), ("show", "sas", "--from-file", REPORT),
    ]  # fmt: skip
    rans = side_by_side(lab.run, [[*words, "-o", "ndjson"] for words in verbs])
    said = {words: lines_of(ran) for words, ran in zip(verbs, rans, strict=True)}
    assert {summary["result"] for _, summary in said.values()} == {"ok"}
    assert said["show",][1]["tunnels"]
    assert all(line["findings"] for line in said["check",][0])
    assert [line["lines"] for line in said["lines", "-t", "customer-1"][0] if line["lines"]]
    assert said["down", "-t", "customer-1", "-n"][1]["steps"]
    assert said["names", CONF][1]["names"]


def test_what_fails_early_is_one_summary(alone: Operator) -> None:
    cases = [["-ondjson", "shwo"], ["show", "-o", "ndjson", "--nonsense"], ["-i", "/nowhere", "show", "-o", "ndjson"]]
    for ran in side_by_side(alone, cases):
        gateways, summary = lines_of(ran)
        assert (gateways, summary["result"]) == ([], "usage")
        assert summary["errors"]


def test_a_line_is_there_as_soon_as_its_gateway_has_answered(lab: Lab, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        change = (f"port = {lab.port('hub-fra1')}\n", f"port = {silent.getsockname()[1]}\n")
        run = lab.as_if(tmp_path / "i.toml", change)
        running = run.start("show", "gateways", "-g", "hub-fra1,br-oslo", "--connect-timeout", "30s", "-o", "ndjson")
        assert running.process.stdout
        first = running.process.stdout.readline()
        running.process.send_signal(signal.SIGINT)
        ran = running.ended(within=15)
    gateways, summary = lines_of(replace(ran, out=first.decode() + ran.out))
    assert [line["gateway"]["gateway"] for line in gateways] == ["br-oslo"]
    assert (ran.code, summary["result"]) == (130, "interrupted")


def test_a_reader_that_goes_away_after_one_line_is_no_failure(lab: Lab) -> None:
    with lab.run.start("show", "gateways", "-f", "1", "-o", "ndjson").process as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (0, b"")


# --- options ---------------------------------------------------------------------------------------


def test_global_options_stand_before_and_after_the_verb(alone: Operator) -> None:
    before, after, both, quiet = side_by_side(
        alone,
        [
            ["-o", "json", "names", CONF],
            ["names", CONF, "-o", "json"],
            ["-o", "plain", "names", CONF, "-o", "json"],
            ["-q", "names", "-o", "plain", CONF],
        ],
    )
    assert before.out == after.out == both.out
    assert before.json["names"][0]["phase1"] == "peer-10.2.1.1"
    assert quiet.out.startswith("file\tline\tlist")


# --- plain and table --------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["table", "plain"])
def test_quiet_keeps_the_errors_and_drops_the_warnings(alone: Operator, tmp_path: Path, form: str) -> None:
    wrong, odd = tmp_path / "wrong.conf", tmp_path / "odd.conf"
    wrong.write_text("ike from\n")
    odd.write_text("ike from vpn.example.net to 192.168.1.0/24 peer 10.2.1.1\n")
    loud, quiet, failed = side_by_side(
        alone,
        [
            ["names", "-o", form, str(odd)],
            ["-q", "names", "-o", form, str(odd)],
            ["-q", "names", "-o", form, str(wrong)],
        ],
    )
    assert "has a word that only the gateway resolves" in loud.said
    assert (quiet.code, quiet.err) == (0, "")
    assert (failed.code, failed.said) == (2, f"{wrong}: 1: syntax error")


@pytest.mark.parametrize("what", ["sas", "flows", "gateways"])
def test_plain_has_a_header_and_the_columns_of_json(shown: dict[tuple[str, str], Ran], what: str) -> None:
    plain, whole = shown[what, "plain"], shown[what, "json"]
    header, *rows = (line.split("\t") for line in plain.out.splitlines())
    assert len(rows) == len(whole.json[what])
    assert {len(row) for row in rows} == {len(header)}
    assert [row[0] for row in rows] == [thing["gateway"] for thing in whole.json[what]]
    assert set(header) & set(whole.json[what][0])


@pytest.mark.parametrize("what", WHAT)
def test_a_pipe_has_80_columns_and_whole_names(shown: dict[tuple[str, str], Ran], what: str) -> None:
    table, whole = shown[what, "table"], shown[what, "json"]
    assert [line for line in table.out.splitlines() if len(line) > 80 and " " in line.strip()] == []
    assert ESCAPE not in table.out + table.err
    words = set(table.out.replace(", ", " ").replace(",\n", "\n").split())
    for name in _names(whole.json[what]):
        assert name in words


def _names(rows: list[dict[str, Any]]) -> set[str]:
    """All names of gateways, tunnels and connections."""
    ends = [end for row in rows for end in row.get("ends", ())]
    # a tunnel that only its daemon knows is called by its connection
    keys = ("gateway", "tunnel", "connection", "name")
    return {str(row[key]) for row in (*rows, *ends) for key in keys if row.get(key) is not None}


def on_a_terminal(run: Operator, *words: str, answer: bytes = b"", **settings: str) -> tuple[int, str]:
    """Exit code and screen of a command whose streams are a terminal."""
    ours, theirs = pty.openpty()
    environment = {**run.environment, "TERM": "xterm", **settings}
    process = subprocess.Popen(
        run.command(words), env=environment, cwd=run.home, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    if answer:
        os.write(ours, answer)
    screen = b"".join(iter(lambda: _some(ours), b""))
    os.close(ours)
    return process.wait(30), screen.decode()


def _some(terminal: int) -> bytes:
    """What comes next; Linux says EIO when the other side is closed."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def test_colours_are_for_terminals_and_no_color_is_heeded(lab: Lab) -> None:
    _, coloured = on_a_terminal(lab.run, "show", "-t", "customer-1")
    _, dull = on_a_terminal(lab.run, "show", "-t", "customer-1", NO_COLOR="1")
    always = lab.run("show", "-t", "customer-1", "--color", "always")
    assert f"{ESCAPE}3" in coloured
    assert f"{ESCAPE}3" not in dull
    assert f"{ESCAPE}3" in always.out


def test_no_at_the_prompt_changes_nothing(lab: Lab) -> None:
    with lab.untouched():
        code, screen = on_a_terminal(lab.run, "down", "-t", "customer-1", answer=b"n\n")
    assert code == 4
    before, _, after = screen.partition("Do it? [y/N]")
    plan = before.rpartition(ERASED)[2]
    assert plan.startswith("down customer-1 on hub-fra1: ")
    assert "t quick from-172.16.1.0/24-to-192.168.1.0/24" in plan
    assert "traffic between 172.16.1.0/24 and 192.168.1.0/24 may leave in clear" in " ".join(plan.split())
    assert len(plan.splitlines()) <= 15 + 1
    assert "declined at the prompt; nothing was sent" in after


def test_watching_in_a_pipe_tells_changes_and_ends_with_an_interrupt(lab: Lab) -> None:
    running = lab.run.start("show", "-t", "customer-17,customer-110", "--watch", "1")
    assert running.process.stdout is not None
    first = [running.process.stdout.readline().decode().split("\t") for _ in range(2)]
    assert [(row[1], row[2]) for row in first] == [("customer-17", "up"), ("customer-110", "up")]
    assert lab.run("down", "-t", "customer-110", "--once", "--yes").code == 0
    changed = running.process.stdout.readline().decode().split("\t")
    assert (changed[1], changed[2], changed[3]) == ("customer-110", "down", "hub-fra1 down\n")
    running.process.send_signal(signal.SIGINT)
    ended = running.ended()
    assert (ended.code, ended.err) == (0, "")
    assert lab.run("up", "-t", "customer-110", "--yes").code == 0


def test_watching_wants_a_table(lab: Lab) -> None:
    for words in (["-o", "json"], ["--watch", "0.1"], ["--save", "x"]):
        refused = lab.run("show", "--watch", "5", *words)
        assert refused.code == 2, refused
