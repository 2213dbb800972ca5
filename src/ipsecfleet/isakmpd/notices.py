"""The daemon's log as a visit tells it: which notice says what. Total; a line that says nothing known is `other`.

Source: isakmpd.md 12, groundtruth.md 1.4; transcripts b01 to b09 and c02 to c23. What these teach:

- The responder alone tells why it refuses, and it tells it first, in one line or several without an address; the line
  after them, `dropped message from ADDR`, says whose message it was. The gateway joins them before it lets them out.
- A phase 1 that is given up says so by the phase 1's name, so it stands for every tunnel of that peer.
- `attribute_unacceptable` comes for each pair of transforms that do not fit, also where another pair does: only with
  `no compatible proposal found` it is a refusal.
- `KEY_EXCH payload without a group desc. attribute` comes where a refused phase 2 is sent again, and means nothing.
- A key that is wrong makes garbage of the peer's first encrypted message: `reserved field non-zero` and the like.
- `phase 1 done`, `quick mode done` and `made us delete` are there only where the daemon runs with -v.
"""

import re

from ipsecfleet.isakmpd.octets import lines
from ipsecfleet.model.notice import Kind, Log, Notice
from ipsecfleet.model.snapshot import Unknown

_begins = re.compile(r"from ([0-9]{1,12})$")
_line = re.compile(r"([0-9]{1,12}) (\S{1,200}) (.+)$")

_MEANS: tuple[tuple[Kind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        (Kind.UNANSWERED, r"transport_send_messages: giving up on exchange (\S+), no response from peer "),
        (Kind.ATTRIBUTE, r"attribute_unacceptable: ([A-Z_]+): got (\S+), +expected (\S+)$"),
        (Kind.NO_PROPOSAL, r"message_negotiate_sa: no compatible proposal found$"),
        (
            Kind.UNREADABLE,
            r"message_parse_payloads: (?:reserved field|short message|payload too|invalid next|payload type)|message_recv: invalid p",
        ),
        (Kind.WRONG_ID, r"ike_phase_1_recv_ID: received remote ID other than expected (\S+)$"),
        (Kind.NO_KEY, r"ike_auth_get_key: (?:no key found|invalid hex key)"),
        (Kind.UNKNOWN_NETWORKS, r".*peer proposed invalid phase 2 IDs: initiator id (\S+), responder id (\S*)"),
        (Kind.POLICY, r"check_policy: negotiated SA failed policy check$"),
        (Kind.UNKNOWN_COOKIE, r"message_recv: invalid cookie\(s\) ([0-9a-f]{16}) ([0-9a-f]{16})$"),
        (Kind.REFUSED, r"dropped message from \S+ port \d+ due to notification type (\S+)$"),
        (Kind.DEBUG, r"exchange_\w+: (?:0x|\S+ exchange already)|ipsec_responder: "),
        (Kind.NOT_CONFIGURED, r"exchange_establish: |connection_record_passive: |connection_init: "),
        (Kind.PHASE1_DONE, r"isakmpd: phase 1 done"),
        (Kind.PHASE2_DONE, r"isakmpd: quick mode done"),
        (Kind.DELETED, r"isakmpd: Peer \S+ made us delete live SA (\S+) for proto (\d+)"),
        (Kind.LIFE, r"isakmpd: (starting|shutting down|exit|reinitializing)|(SIGHUP) received"),
        (Kind.LEVEL, r"log_debug_cmd: log level (?:changed from (\d+) to (\d+)|unchanged) for class (\d+)"),
        (Kind.OURS, r"([A-Za-z0-9_][A-Za-z0-9._@-]*-[A-Za-z0-9._@-]*) (\S+@\S+|\S+): (.+)$"),
    )
)
"""What a text means, the first that fits."""


def parse(body: bytes, seconds: float, now: float | None) -> Log | Unknown:
    """The section `log` of a visit that asked for the last `seconds` before `now`, the gateway's clock."""
    said = lines(body)
    begins = _begins.match(said[0]) if said else None
    if begins is None:
        return Unknown("what the gateway said of its log is not understood")
    start = float(begins[1])
    notices = tuple(_notice(found) for found in filter(None, map(_line.match, said[1:])))
    return Log((now or start) - seconds, start, notices)


def _notice(found: re.Match[str]) -> Notice:
    at, about, text = found.groups()
    kind, details = _meaning(text)
    return Notice(float(at), None if about == "-" else about, kind, text, details)


def _meaning(text: str) -> tuple[Kind, tuple[str, ...]]:
    for kind, pattern in _MEANS:
        fitting = pattern.match(text)
        if fitting is not None:
            return kind, tuple(group for group in fitting.groups() if group is not None)
    return Kind.OTHER, ()
