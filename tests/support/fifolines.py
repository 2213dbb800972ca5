"""Lines that may be written into a FIFO, as the constructors render them, and lines that may not."""

from ipsecfleet.isakmpd import fifo

NAME = "from-172.16.1.0/24-to-192.168.1.0/24"

RENDERED = {
    fifo.quick(NAME): f"t quick {NAME}",
    fifo.main("peer-10.2.1.1"): "t main peer-10.2.1.1",
    fifo.connect(NAME): f"c {NAME}",
    fifo.list_add("Phase 2", "Connections", NAME): f"C add [Phase 2]:Connections={NAME}",
    fifo.list_remove("Phase 2", "Passive-Connections", NAME): f"C rmv [Phase 2]:Passive-Connections={NAME}",
    fifo.list_add(
        "ipsecfleet", "Held-Passive-Connections", NAME
    ): f"C add [ipsecfleet]:Held-Passive-Connections={NAME}",
    fifo.list_add("ipsecfleet", "Held-Peers", "2001:db8::1"): "C add [ipsecfleet]:Held-Peers=2001:db8::1",
    fifo.set_peer("10.2.1.1", "peer-10.2.1.1"): "C set [Phase 1]:10.2.1.1=peer-10.2.1.1 force",
    fifo.remove_peer("10.2.1.1"): "C rm [Phase 1]:10.2.1.1",
    fifo.remember_peer("fe80::1%em0", "peer-x"): "C set [ipsecfleet]:peer-of-fe80::1%em0=peer-x force",
    fifo.forget_peer("10.2.1.1"): "C rm [ipsecfleet]:peer-of-10.2.1.1",
    fifo.clone_tag(
        "ipsecfleet-rekey-0123abcd", "PF-Tag", "vpn1"
    ): "C set [ipsecfleet-rekey-0123abcd]:PF-Tag=vpn1 force",
    fifo.remove_clone("ipsecfleet-rekey-0123abcd"): "C rms [ipsecfleet-rekey-0123abcd]",
    fifo.drop_transforms("peer-10.2.1.1"): "C rms [phase1-peer-10.2.1.1]",
    fifo.drop_tag("peer-10.2.1.1", "Remote-ID"): "C rm [peer-10.2.1.1]:Remote-ID",
}

HOSTILE = [
    "", "S", "T", "Q", "R", "r", "D A 99", "p on", "M passive", "d 00 -", "Test", "t", "t quick", "c",
    "t 10.2.1.1", f"t {NAME}", f"t  quick {NAME}", f" t quick {NAME}", f"t quick {NAME} ", f"t quick {NAME}\r",
    f"t quick {NAME}\nT", f"t quick {NAME}\n", "t quick a;b", "t quick $(reboot)", "t quick a`b`", "t quick a'b",
    "t quick \x1b[2J", "t quick a\0b", "t quick a,b", "t quick é", f"t quick {'n' * 201}",
    "C get [Phase 2]:Connections", "C get [peer-10.2.1.1]:Authentication", "C set [Phase 2]:Connections=a force",
    "C rm [Phase 2]:Connections", "C rms [Phase 2]", "C rms [peer-10.2.1.1]", "C add [General]:Listen-on=a",
    "C set [Phase 1]:Default=peer-a force", "C rm [Phase 1]:Default", "C rm [Phase 1]:10.2.1", "C rm [Phase 1]:beef",
    "C set [Phase 1]:10.2.1.1=peer-a", "C set [Phase 1]:10.2.1.1=peer a force", "C rm [Phase 1]:10.2.1.1 ",
    "C add [ipsecfleet]:Held-Peers=a", "C add [ipsecfleet]:fence=a", "C set [ipsecfleet]:fence=a force",
    "C set [ipsecfleet-rekey-0123ABCD]:Phase=2 force", "C set [ipsecfleet-rekey-0123abcd]:Authentication=x force",
    "C rm [peer-10.2.1.1]:Address", "C rm [General]:ID", "C rm [peer-]:ID", "C rms [phase1-]", "C rms [phase1-a]b",
    "C rms [phase2-a]", "C rms [ipsecfleet-rekey-0123abcd]x", "C rms [ipsecfleet]", "c [x]", "t main a]b",
]  # fmt: skip
