"""What the captures do not show but the real daemon did (the cases in brackets), and the faults of the lab."""

import pytest
from pair import HERE, MIRROR, NAME, THERE, Pair, live, load, rule, shown

DOWN = f"t quick {NAME}\nt main peer-{THERE}\n".encode()
UP_AGAIN = f"c {NAME}\n".encode()


def test_from_the_old_responder_a_full_restart_is_immediate() -> None:  # [c17]
    pair = Pair().up()
    pair.a.fifo(DOWN)
    pair.wait(1)
    pair.b.fifo(f"c {MIRROR}\n".encode())
    assert pair.wait_until_live(5) <= 0.3


def test_a_default_peer_is_never_locked_out() -> None:  # [c19]
    pair = Pair(peer_of_b="").up()
    pair.a.fifo(DOWN)
    pair.wait(1)
    pair.a.fifo(UP_AGAIN)
    assert pair.wait_until_live(5) <= 0.3


def test_a_shorter_exchange_time_shortens_the_lock_out() -> None:  # [c22]
    pair = Pair()
    for daemon in (pair.a, pair.b):
        daemon.fifo(b"C set [General]:Exchange-max-time=15 force\n")
    pair.up()
    pair.wait(7)
    pair.a.fifo(DOWN + UP_AGAIN)
    assert 7 <= pair.wait_until_live(60) <= 7.5


def test_restart_of_the_initiator_costs_what_is_left_of_120_seconds() -> None:  # [c20]
    pair = Pair().up()
    pair.a.terminate()
    pair.wait(1)
    assert not pair.a.running
    assert shown(pair.b) == []
    pair.a.start()
    pair.load_a()
    assert 118 < pair.wait_until_live(200) < 126


def test_a_killed_peer_stays_up_here() -> None:  # [b08]
    pair = Pair().up()
    pair.b.kill()
    pair.wait(300)
    assert live(pair.a) == [NAME]
    assert len(pair.b.kernel.flows) == len(pair.b.kernel.sas) == 2


def test_the_kernel_ends_sas_by_itself_but_not_flows() -> None:
    pair = Pair().up()
    pair.b.kill()
    pair.wait(1300)
    assert pair.b.kernel.sas == []
    assert len(pair.b.kernel.flows) == 2


def test_a_tunnel_put_down_while_half_up_comes_up_if_the_peer_answers() -> None:  # [c24]
    pair = Pair().up()
    pair.a.fifo(f"t quick {NAME}\n".encode())
    pair.wait(1)
    pair.world.cut(THERE)
    pair.a.fifo(UP_AGAIN)
    pair.wait(1)
    pair.a.fifo(f"t quick {NAME}\n".encode())
    pair.world.restore(THERE)
    pair.wait(10)
    assert (NAME, "2", 3) in shown(pair.a)
    pair.a.fifo(f"t quick {NAME}\n".encode())
    pair.wait(100)
    assert live(pair.a) == []


def test_an_active_peer_is_back_within_a_minute() -> None:  # [c12]
    pair = Pair().up()
    pair.b.fifo(f"t quick {MIRROR}\n".encode())
    pair.wait(1)
    assert live(pair.a) == []
    assert pair.wait_until_live(70) <= 60
    assert (MIRROR, "2", 1) in shown(pair.b)


def test_an_active_end_with_a_dead_peer_loses_the_tunnel_at_hard_expiry() -> None:  # [d07]
    pair = Pair(life2="60").up()
    pair.world.cut(THERE)
    pair.wait(57)
    assert {("<unnamed>", "2", 0), (NAME, "2", 3)} <= set(shown(pair.a))
    pair.wait(8)
    assert ("<unnamed>", "2", 0) in shown(pair.a)
    assert (live(pair.a), pair.a.kernel.flows) == ([], [])


def test_a_proposal_that_is_accepted_at_the_second_attempt_leaves_nothing_half_up() -> None:
    pair = Pair().up()
    pair.b.faults.refuse_phase2.add(HERE)
    pair.a.fifo(f"t quick {NAME}\n".encode() + UP_AGAIN)
    pair.wait(1)
    assert ("<unnamed>", "2", 0) in shown(pair.b)
    pair.b.faults.refuse_phase2.clear()
    pair.wait(7)
    assert (MIRROR, "2", 1) in shown(pair.b)
    assert ("<unnamed>", "2", 0) not in shown(pair.b)


def test_dead_peer_detection_of_a_dynamic_rule() -> None:  # [a21]
    pair = Pair(mode_a="dynamic", peer_of_b="").up()
    pair.world.cut(THERE)
    pair.wait(24)
    assert live(pair.a) == [NAME]
    pair.wait(6)
    assert [phase for _, phase, flags in shown(pair.a) if flags & 1] == []


@pytest.mark.parametrize("command", ["T", "d"])
def test_freeing_a_half_up_sa_crashes_the_daemon_within_120_seconds(command: str) -> None:  # [c25, c26]
    pair = Pair().up()
    pair.b.faults.refuse_phase2.add("*")
    pair.a.fifo(b"C set [x]:Phase=2 force\n" + _clone("x") + b"c x\n")
    pair.wait(1)
    assert ("<unnamed>", "2", 0) in shown(pair.a)
    pair.a.fifo(b"T\n" if command == "T" else _delete_line(pair))
    pair.wait(1)
    assert ("<unnamed>", "2", 0) not in shown(pair.a)
    assert pair.a.running
    flows = pair.a.kernel.flows
    pair.wait(120)
    assert pair.a.crashed
    assert not pair.a.running
    assert pair.a.kernel.flows == flows


def test_a_teardown_of_everything_leaves_phase_1_and_clears_the_peer() -> None:
    pair = Pair().up()
    pair.a.fifo(b"T\n")
    pair.wait(200)
    assert [phase for _, phase, _ in shown(pair.a) + shown(pair.b)] == ["1/Initiator", "1/Responder"]
    assert not pair.a.crashed


def test_a_passive_daemon_begins_nothing_but_answers() -> None:
    pair = Pair(mode_b="active")
    pair.a.fifo(b"M passive\n")
    pair.up()
    pair.a.fifo(f"t quick {NAME}\n".encode() + UP_AGAIN)
    pair.wait(1)
    assert live(pair.a) == []
    assert pair.wait_until_live(70) <= 60


def test_a_short_phase_1_cannot_be_renewed() -> None:  # [d02]
    pair = Pair(life="100").up()
    pair.wait(100)
    assert ("<unnamed>", "1/Responder", 2) in shown(pair.a)
    assert live(pair.a) == [NAME]


def test_both_active_have_two_sas_and_one_live() -> None:  # [a02]
    pair = Pair(mode_b="active")
    pair.world.network.route = lambda packet: 0.1 if packet.mode == "quick" else 0.0003
    pair.world.advance(9)
    for daemon in (pair.a, pair.b):
        assert sorted(flags for _, phase, flags in shown(daemon) if phase == "2") in ([3], [3, 11])


def test_a_wrong_key_leaves_both_ends_half_up_with_a_reason_at_the_responder() -> None:
    pair = Pair()
    pair.a.faults.wrong_psk.add(THERE)
    pair.wait(10)
    assert shown(pair.a) == shown(pair.b) == [("<unnamed>", "1/Responder", 0)]
    assert any("PAYLOAD_MALFORMED" in line for line in pair.logged("b"))
    assert not any("PAYLOAD_MALFORMED" in line for line in pair.logged("a"))


def test_a_peer_that_knows_us_not_refuses_the_proposal() -> None:
    pair = Pair()
    pair.b.fifo(f"C rm [Phase 1]:{HERE}\n".encode())
    pair.wait(10)
    assert shown(pair.b) == [("<unnamed>", "1/Responder", 0)]
    assert "attribute_unacceptable: ENCRYPTION_ALGORITHM: got AES_CBC, expected 3DES_CBC" in pair.logged("b")


def test_lost_deletes_leave_the_peer_up() -> None:
    pair = Pair().up()
    pair.world.network.drop_deletes = True
    pair.a.fifo(DOWN)
    pair.wait(1)
    assert shown(pair.a) == []
    assert live(pair.b) == [MIRROR]


def test_commands_wait_while_the_daemon_is_busy() -> None:
    pair = Pair().up()
    pair.a.busy(3)
    pair.a.fifo(b"S\n")
    pair.wait(2.9)
    assert pair.a.files.result is None  # type: ignore[attr-defined]
    pair.wait(0.2)
    assert NAME.encode() in pair.a.files.result  # type: ignore[attr-defined]


def test_many_expensive_tunnels_keep_a_small_gateway_busy_for_seconds() -> None:
    pair = Pair(group="modp8192")
    pair.a.slowness = pair.b.slowness = 5
    for n in range(2, 6):
        load(pair.b, rule("passive", f"192.168.{n}.0/24", f"172.16.{n}.0/24", HERE, group="modp8192"))
        load(pair.a, rule("active", f"172.16.{n}.0/24", f"192.168.{n}.0/24", THERE, group="modp8192"))
    pair.world.advance(5.5)
    pair.a.fifo(b"S\n")
    pair.wait(1)
    assert pair.a.files.result is None or len(live(pair.a)) < 5  # type: ignore[attr-defined]
    pair.wait(30)
    assert len(live(pair.a)) == 5


def test_equal_seeds_give_equal_histories_and_others_do_not() -> None:
    histories = []
    for seed in (1, 1, 2):
        pair = Pair(seed=seed, life2="60")
        pair.wait(300)
        histories.append(pair.events)
    assert histories[0] == histories[1] != histories[2]


def _clone(alias: str) -> bytes:
    values = {"ISAKMP-peer": f"peer-{THERE}", "Configuration": f"phase2-{NAME}"}
    values |= {"Local-ID": "from-172.16.1.0/24", "Remote-ID": "to-192.168.1.0/24"}
    return b"".join(f"C set [{alias}]:{tag}={value} force\n".encode() for tag, value in values.items())


def _delete_line(pair: Pair) -> bytes:
    pair.a.sigusr1()
    report = pair.a.files.report.decode()  # type: ignore[attr-defined]
    block = report[report.index("<unnamed> phase 2") :]
    cookies = block.split("icookie ")[1].split("\n")[0].replace(" rcookie ", "")
    return f"d {cookies} {block.split('msgid ')[1][:8]}\n".encode()
