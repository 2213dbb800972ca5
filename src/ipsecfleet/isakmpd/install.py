"""How the visit program is installed where `privilege = "restricted"`: what an administrator of the gateway is told.

The account must not be able to replace what it may run as root (doas.conf(5) compares nothing but the path), so file
and directory are root's. What was copied there by that account is compared after it is out of its reach.
"""

from ipsecfleet.isakmpd import visit
from ipsecfleet.model.document import Document, Finding

HELP = "ipsecfleet check --install-help"
"""The command that tells it."""

COPY = "ipsecfleet-visit"
DIRECTORY = visit.INSTALLED.rpartition("/")[0]


def install_help() -> Document:
    """One finding for each thing to do, in order; USER stands for the account that ipsecfleet logs in as."""
    steps = (
        ("file", str(visit.source())),
        ("sha256", visit.digest()),
        ("copy it", f"scp {visit.source()} GATEWAY:{COPY}"),
        ("as root", f"install -d -o root -g wheel -m 0755 {DIRECTORY}"),
        ("as root", f"install -o root -g wheel -m 0555 {COPY} {visit.INSTALLED}"),
        ("compare", f"sha256 -q {visit.INSTALLED}"),
        ("doas.conf", visit.doas_rule("restricted", "USER")),
        ("doas.conf", "no other rule permits USER anything; the file is root's, mode 0600"),
        ("inventory", 'privilege = "restricted"'),
    )
    return Document("check", findings=tuple(Finding(None, "info", subject, text) for subject, text in steps))
