"""How a lab starts and ends."""

import os
import signal
from pathlib import Path

import pytest
from sshclient import Client, gone

from ipsecfleet import lab
from ipsecfleet.errors import IpsecfleetError, OperatorError
from ipsecfleet.lab import api
from ipsecfleet.lab.scenario import TEST_PSK

pytestmark = pytest.mark.lab


def monitors(directory: Path) -> list[int]:
    return [int(path.read_text()) for path in directory.glob("gateways/*/run/isakmpd.pid")]


def test_down_leaves_no_process_and_no_key_in_run(tmp_path: Path) -> None:
    info = lab.up(tmp_path / "deep" / ("x" * 100), gateways=2, speed=20, seed=1)
    client = Client(info.directory)
    client.said("hub-ams1", 'kill -USR1 "$(cat run/isakmpd.pid)"; until [ -s run/isakmpd.report ]; do sleep 0.01; done')
    assert TEST_PSK in (client.files("hub-ams1") / "run/isakmpd.report").read_text()
    processes = [info.pid, *monitors(info.directory)]
    assert len(processes) == 3
    assert lab.down(info.directory).state == "down"
    assert all(gone(pid) for pid in processes)
    assert not list(info.directory.glob("gateways/*/run"))
    assert lab.down(info.directory).state == lab.status(info.directory).state == "down"
    with pytest.raises(OperatorError, match="no lab is running"):
        lab.advance(info.directory, 1)


def test_a_crash_is_told_and_can_be_tidied_up(tmp_path: Path) -> None:
    info = lab.up(tmp_path / "lab", gateways=1, speed=1, seed=1)
    watched = monitors(info.directory)
    os.kill(info.pid, signal.SIGKILL)
    assert all(gone(pid) for pid in [info.pid, *watched])
    assert lab.status(info.directory).state == "crashed"
    with pytest.raises(OperatorError) as caught:
        lab.fault(info.directory, "off")
    assert "crashed" in caught.value.hint
    assert lab.up(info.directory, gateways=1, speed=1, seed=1).state == "running"
    os.kill(lab.status(info.directory).pid, signal.SIGTERM)
    lab.down(info.directory)
    assert not list(info.directory.glob("gateways/*/run"))


def test_what_takes_too_long_to_start_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "START", 0.05)
    with pytest.raises(IpsecfleetError, match="was not ready within"):
        lab.up(tmp_path / "lab", gateways=6, speed=1, seed=1)
    monkeypatch.undo()
    assert lab.status(tmp_path / "lab").state != "running"
    assert lab.up(tmp_path / "lab", gateways=1, speed=1, seed=1).state == "running"
    lab.down(tmp_path / "lab")


def test_what_cannot_start_says_why(tmp_path: Path) -> None:
    place = tmp_path / "lab"
    place.mkdir()
    (place / "lab.log").touch()
    (place / "gateways").write_text("in the way")
    with pytest.raises(IpsecfleetError) as caught:
        lab.up(place, gateways=1, speed=1, seed=1)
    assert "did not start" in caught.value.message
    assert str(place / "lab.log") in caught.value.hint
    assert lab.status(place).state == "crashed"


def test_off_makes_a_stalled_peer_healthy(tmp_path: Path) -> None:
    info = lab.up(tmp_path / "lab", gateways=2, speed=20, seed=1)
    client = Client(info.directory)
    assert client.report("hub-ams1").count("<unnamed> (Phase 2)") == 1
    assert lab.fault(info.directory, "off").faults == ()
    lab.advance(info.directory, 300)
    assert "from-172.16.6.0/24-to-192.168.6.0/24 (Phase 2)" in client.report("hub-ams1")
    lab.down(info.directory)


def test_t_on_a_half_up_tunnel_takes_the_daemon_and_its_fifo_along(tmp_path: Path) -> None:
    info = lab.up(tmp_path / "lab", gateways=2, speed=20, seed=1)
    client = Client(info.directory)
    client.said("hub-ams1", "echo T > run/isakmpd.fifo")
    lab.advance(info.directory, 130)
    assert sorted(client.said("hub-ams1", "ls run").split()) == []
    lab.down(info.directory)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("full", {}, "is not empty"),
        ("a blank", {}, "unusable directory"),
        ("lab", {"gateways": 0}, "cannot simulate 0 gateways"),
        ("lab", {"speed": 0}, "cannot run at speed 0"),
    ],
)
def test_unusable_wishes_are_refused(tmp_path: Path, name: str, options: dict[str, float], message: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "inventory.toml").write_text("mine")
    with pytest.raises(OperatorError, match=message):
        lab.up(tmp_path / name, **{"gateways": 1, "speed": 1, "seed": 1} | options)
    assert (tmp_path / "full" / "inventory.toml").read_text() == "mine"
