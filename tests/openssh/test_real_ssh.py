"""The whole product over OpenSSH's sshd, a login shell mksh and doas: what asyncssh and stand-ins cannot prove."""

import json
import pwd
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from realssh import PERMIT, RESTRICTED, USER, RealSsh
from servers import wait_for

from cli import Operator, Ran
from ipsecfleet.isakmpd import visit
from ipsecfleet.lab.layout import GatewayDir, LabDir
from ipsecfleet.model.fleet import Gateway
from ipsecfleet.transport import SshTransport
from ipsecfleet.transport.contract import Outcome, Visit

pytestmark = pytest.mark.openssh

CONNECTION = "from-172.16.1.0/24-to-192.168.1.0/24"
TIMEOUT = 2.0
LEEWAY = 3.0

SELF = """\
print join("\\n", "uid $<", "taint ${^TAINT}", map { "$_=$ENV{$_}" } sort keys %ENV), "\\n";
__END__
"""
ECHO = """\
binmode STDOUT; local $/; print <STDIN>;
__END__
"""
FREEZE = """\
#!/bin/sh
# once: stops the sshd that this runs under, then does what the tool does
mv "$0.real" "$0"
pid=$PPID
while [ "$pid" -gt 1 ] && ! ps -o comm= -p "$pid" | grep -q '^sshd'; do pid=$(($(ps -o ppid= -p "$pid"))); done
kill -STOP "$pid"
exec "$0" "$@"
"""


class TestAWholeRun:
    def test_it_goes_down_and_comes_back_and_its_neighbours_do_not_notice(
        self, ipsecfleet: Operator, gateway: GatewayDir
    ) -> None:
        before = spis(ipsecfleet)
        inode = gateway.fifo.stat().st_ino
        down = ipsecfleet("down", "-p", "10.2.1.1", "-g", "hub-fra1", "--yes", "-o", "json")
        assert (down.code, down.json["result"]) == (0, "ok"), down
        assert {step["state"] for step in down.json["steps"]} == {"proven"}
        assert [tunnel["state"] for tunnel in down.json["tunnels"]] == ["held"]

        up = ipsecfleet("up", "-t", "customer-1", "--yes", "-o", "json")
        assert (up.code, up.json["result"]) == (0, "ok"), up
        assert [tunnel["state"] for tunnel in up.json["tunnels"]] == ["up"]
        after = spis(ipsecfleet)
        assert after["customer-1"] not in {None, before["customer-1"]}
        assert after | {"customer-1": None} == before | {"customer-1": None}
        assert gateway.fifo.is_fifo()
        assert gateway.fifo.stat().st_ino == inode
        assert_logged(gateway, down, f"t quick {CONNECTION}")
        assert_logged(gateway, down, "t main peer-10.2.1.1")
        assert_logged(gateway, up, f"c {CONNECTION}")

    def test_show_finds_all_tunnels_up(self, ipsecfleet: Operator) -> None:
        shown = ipsecfleet("show", "tunnels", "-o", "json")
        assert (shown.code, shown.err) == (0, "")
        assert {tunnel["state"] for tunnel in shown.json["tunnels"]} == {"up"}
        assert [(g["state"], g["level"]) for g in shown.json["gateways"]] == [("ok", "doas")]

    def test_lines_are_those_of_this_gateway(self, ipsecfleet: Operator, gateway: GatewayDir) -> None:
        lines = ipsecfleet("lines", "-p", "10.2.1.1")
        words = (f"t quick {CONNECTION}", "t main peer-10.2.1.1")
        assert lines.out.splitlines() == [f"echo {word} > {gateway.fifo}" for word in words]
        assert (lines.code, lines.err) == (0, "")

    def test_check_has_nothing_to_complain_of(self, ipsecfleet: Operator) -> None:
        checked = ipsecfleet("check", "-o", "json")
        assert checked.code == 0, checked
        assert {finding["severity"] for finding in checked.json["findings"]} == {"info"}


class TestDoas:
    @pytest.mark.parametrize(
        ("rules", "mode", "words"),
        [
            (None, 0o600, "doas is not enabled, /etc/doas.conf: No such file or directory"),
            (f"deny {USER}\n", 0o600, "Operation not permitted"),
            (f"permit {USER} as root cmd /usr/bin/perl\n", 0o600, "Authentication required"),
            (PERMIT, 0o666, "/etc/doas.conf is writable by group or other"),
        ],
        ids=["no doas.conf", "denied", "not nopass", "writable"],
    )
    def test_a_refusal_is_told_in_its_words_with_the_rule_that_helps(
        self, ipsecfleet: Operator, sshd: RealSsh, rules: str | None, mode: int, words: str
    ) -> None:
        sshd.doas(rules, mode)
        shown = ipsecfleet("show", "-o", "json")
        assert shown.code == 3
        (error,) = shown.json["errors"]
        assert error["kind"] == "doas"
        assert error["object"] == "hub-fra1"
        assert error["message"].endswith(f"doas: {words}")
        helps = "chmod 0600 /etc/doas.conf" if mode == 0o666 else f'"{PERMIT.strip()}"'
        assert helps in error["hint"]
        assert {tunnel["state"] for tunnel in shown.json["tunnels"]} == {"unknown"}

    def test_the_rule_in_the_hint_is_all_that_was_missing(
        self, ipsecfleet: Operator, sshd: RealSsh, gateway: GatewayDir
    ) -> None:
        sshd.doas(None)
        before = told(gateway)
        refused = ipsecfleet("down", "-t", "customer-1", "--yes", "-o", "json")
        assert refused.code == 3
        assert not refused.json["steps"]
        assert told(gateway) == before
        _, rule, _ = refused.json["errors"][0]["hint"].split('"')
        sshd.doas(f"{rule}\n")
        assert ipsecfleet("show").code == 0

    def test_it_drops_the_environment_and_the_handshake_has_it_still(self, simulated: LabDir, sshd: RealSsh) -> None:
        said = ask(simulated, sshd, visit.remote_command("doas"), SELF.encode()).stdout.decode()
        handshake, *own = said.splitlines()
        assert handshake.startswith("ipsecfleet 127.0.0.1 ")
        assert handshake.endswith(f" 127.0.0.1 {sshd.port}")
        assert own[:2] == ["uid 0", "taint 1"]
        variables = dict(line.split("=", 1) for line in own[2:])
        assert variables["DOAS_USER"] == USER
        assert not [name for name in variables if name.startswith(("SSH_", "LC_", "LANG", "PERL", "KSH"))]

    def test_bytes_pass_through_shell_doas_and_perl_unchanged(self, simulated: LabDir, sshd: RealSsh) -> None:
        program = ("#" * 79 + "\n").encode() * (len(visit.program()) // 80) + ECHO.encode()
        content = bytes(range(256)) * 1024
        outcome = ask(simulated, sshd, visit.remote_command("doas"), program + content)
        _, _, echoed = outcome.stdout.partition(b"\n")
        assert echoed == content
        assert (outcome.exit, outcome.stderr) == (0, b"")


@pytest.mark.usefixtures("installed")
class TestRestricted:
    def test_it_goes_down_and_comes_back(self, restricted: Operator, gateway: GatewayDir) -> None:
        before = spis(restricted)
        down = restricted("down", "-t", "customer-1", "--yes", "-o", "json")
        assert (down.code, down.json["result"]) == (0, "ok"), down
        assert [tunnel["state"] for tunnel in down.json["tunnels"]] == ["held"]
        up = restricted("up", "-t", "customer-1", "--yes", "-o", "json")
        assert (up.code, up.json["result"]) == (0, "ok"), up
        after = spis(restricted)
        assert after["customer-1"] not in {None, before["customer-1"]}
        assert after | {"customer-1": None} == before | {"customer-1": None}
        assert_logged(gateway, down, f"t quick {CONNECTION}")

    def test_show_tells_the_level(self, restricted: Operator) -> None:
        shown = restricted("show", "gateways", "-o", "json")
        assert [(g["state"], g["level"]) for g in shown.json["gateways"]] == [("ok", "restricted")]

    def test_check_knows_the_program_that_is_installed(self, restricted: Operator) -> None:
        checked = restricted("check", "-o", "json")
        assert checked.code == 0, checked
        levels = [f["text"] for f in checked.json["findings"] if f["subject"] == "level"]
        assert levels == ["restricted: the installed visit program is this version's"]

    def test_check_finds_another_program(self, restricted: Operator, sshd: RealSsh) -> None:
        sshd.as_root(f"printf '# older\\n' >> {visit.INSTALLED}")
        checked = restricted("check", "-o", "json")
        assert checked.code == 6
        (other,) = [f for f in checked.json["findings"] if f["severity"] != "info"]
        told = sshd.as_root(f"sha256sum {visit.INSTALLED}").split()[0]
        assert (other["subject"], other["text"].split()[-1]) == ("level", told)
        assert other["hint"] == "ipsecfleet check --install-help"

    @pytest.mark.parametrize("harm", ["rm", "chmod 0644"], ids=["missing", "not executable"])
    def test_a_program_that_cannot_be_run_is_told(self, restricted: Operator, sshd: RealSsh, harm: str) -> None:
        sshd.as_root(f"{harm} {visit.INSTALLED}")
        shown = restricted("show", "-o", "json")
        assert shown.code == 3
        (error,) = shown.json["errors"]
        assert (error["kind"], error["object"]) == ("doas", "hub-fra1")
        assert visit.INSTALLED in error["message"]
        assert error["hint"].endswith("ipsecfleet check --install-help")

    def test_where_doas_refuses_the_hint_has_the_rule(self, restricted: Operator, sshd: RealSsh) -> None:
        sshd.doas(PERMIT)
        (error,) = restricted("show", "-o", "json").json["errors"]
        assert error["message"].endswith("doas: Operation not permitted")
        _, rule, more = error["hint"].split('"')
        assert rule == RESTRICTED.strip()
        assert more == "; see ipsecfleet check --install-help"

    @pytest.mark.parametrize(
        "command",
        ["/usr/bin/perl -T -", "perl -T -", "/bin/sh", "/usr/bin/id", f"{visit.INSTALLED} -", "ipsecfleet-visit", "-s"],
    )
    def test_the_account_may_run_nothing_else(self, simulated: LabDir, sshd: RealSsh, command: str) -> None:
        refused = ask(simulated, sshd, f"doas -n {command}", b"print 1;\n__END__\n")
        assert (refused.exit, refused.stdout, refused.stderr) == (1, b"", b"doas: Operation not permitted\n")

    def test_the_account_cannot_change_what_it_runs(
        self, simulated: LabDir, sshd: RealSsh, installed: dict[str, list[str]]
    ) -> None:
        for harm in (f": > {visit.INSTALLED}", f"mv {visit.INSTALLED} /tmp", f"rm -f {visit.INSTALLED}"):
            assert ask(simulated, sshd, harm).exit != 0
        assert sshd.as_root(f"stat -c '%U %G %a' {visit.INSTALLED}") == "root root 555\n"
        assert installed["sha256"] == [sshd.as_root(f"sha256sum {visit.INSTALLED}").split()[0]]


class TestSshd:
    def test_the_login_shell_is_mksh(self, simulated: LabDir, sshd: RealSsh) -> None:
        said = ask(simulated, sshd, 'print -r -- "$KSH_VERSION" "$(/usr/bin/id -un)" "$PWD"').stdout.decode()
        assert said.startswith("@(#)MIRBSD KSH ")
        assert said.endswith(f" {USER} /run/{USER}\n")

    def test_an_unknown_host_key_is_trusted_by_its_fingerprint_alone(self, ipsecfleet: Operator, sshd: RealSsh) -> None:
        (ipsecfleet.home / "fleet/known_hosts").unlink()
        logins = sshd.logins
        unknown = ipsecfleet("show", "-o", "json")
        assert unknown.code == 3
        (error,) = unknown.json["errors"]
        assert sshd.fingerprint in error["message"] + error["hint"]
        assert "ipsecfleet trust" in error["hint"]
        assert sshd.logins == logins

        wrong = ipsecfleet("trust", "hub-fra1", "--fingerprint", "SHA256:" + "A" * 43)
        assert wrong.code == 4
        assert not (ipsecfleet.home / "fleet/known_hosts").exists()
        right = ipsecfleet("trust", "hub-fra1", "--fingerprint", sshd.fingerprint)
        assert right.code == 0, right
        assert (ipsecfleet.home / "fleet/known_hosts").read_text().split() == sshd.known_hosts.read_text().split()
        assert ipsecfleet("show").code == 0

    def test_one_that_freezes_while_the_visit_runs_is_given_up_in_time(
        self, ipsecfleet: Operator, gateway: GatewayDir
    ) -> None:
        freeze_at(gateway.bin / "ifconfig")
        began = time.monotonic()
        shown = ipsecfleet("show", "--timeout", f"{TIMEOUT:g}s", "-o", "json")
        assert TIMEOUT <= time.monotonic() - began < TIMEOUT + LEEWAY
        assert shown.code == 3
        (seen,) = shown.json["gateways"]
        assert (seen["state"], seen["phase"]) == ("failed", "command")
        assert f"ran over {TIMEOUT:g} s" in seen["error"]

    def test_one_that_freezes_after_a_change_is_asked_again_what_came_of_it(
        self, ipsecfleet: Operator, gateway: GatewayDir
    ) -> None:
        freeze_at(gateway.bin / "logger")
        down = ipsecfleet("down", "-t", "customer-110", "--yes", "--timeout", f"{TIMEOUT:g}s", "-o", "json")
        assert down.code == 1
        (error,) = down.json["errors"]
        assert f"ran over {TIMEOUT:g} s" in error["message"]
        assert "it may have done its work" in error["hint"]
        assert "proven" not in {step["state"] for step in down.json["steps"]}
        assert [tunnel["state"] for tunnel in down.json["tunnels"]] == ["held"]
        assert ipsecfleet("down", "-t", "customer-110", "--yes").code == 0
        assert ipsecfleet("up", "-t", "customer-110", "--yes").code == 0


class TestTheMachine:
    def test_a_visit_leaves_no_process_and_the_machines_own_etc_is_as_it_was(
        self, simulated: LabDir, sshd: RealSsh, etc_before: dict[str, str], etc_now: Callable[[], dict[str, str]]
    ) -> None:
        assert (sshd.root / "etc/doas.conf").read_text() == PERMIT
        assert USER in (sshd.root / "etc/passwd").read_text()
        assert ask(simulated, sshd, visit.remote_command("doas"), SELF.encode()).exit == 0
        wait_for(lambda: not sshd.sessions(), "all but sshd have ended")
        assert etc_now() == etc_before
        assert not [user for user in pwd.getpwall() if user.pw_name == USER]
        assert str(sshd.home) not in Path("/proc/self/mountinfo").read_text()


def spis(ipsecfleet: Operator) -> dict[str, Any]:
    """The incoming SPI of every tunnel."""
    shown = ipsecfleet("show", "-o", "json")
    assert shown.code == 0, shown
    return {tunnel["tunnel"]: tunnel["ends"][0]["spi_in"] for tunnel in shown.json["tunnels"]}


def assert_logged(gateway: GatewayDir, ran: Ran, line: str) -> None:
    """A line of the gateway's log names the run, who it was, and what was written."""
    run = f" hub-fra1 ipsecfleet: {ran.json['run']} "
    logged = [text for text in gateway.daemon_log.read_text().splitlines() if run in text]
    assert any(line in text.partition(": ")[2].partition(": ")[2].split("; ") for text in logged), logged


def told(gateway: GatewayDir) -> list[Any]:
    """What the daemon was told so far."""
    happened = map(json.loads, gateway.events.read_text().splitlines())
    return [event for event in happened if event["event"] == "fifo"]


def ask(simulated: LabDir, sshd: RealSsh, command: str, stdin: bytes = b"") -> Outcome:
    """Run a command over our own transport."""
    gateway = Gateway(
        "hub-fra1", "127.0.0.1", port=sshd.port, user=USER, identity=str(simulated.identity),
        known_hosts=str(sshd.known_hosts),
    )  # fmt: skip
    with SshTransport(ssh_config="/dev/null") as ssh:
        return ssh.visit(Visit(gateway, command, stdin, deadline_s=10, limit=1 << 20))


def freeze_at(tool: Path) -> None:
    """Let a stand-in stop, when it next runs, the sshd that runs it."""
    tool.rename(f"{tool}.real")
    tool.write_text(FREEZE)
    tool.chmod(0o755)
