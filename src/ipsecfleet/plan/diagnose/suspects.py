"""What one end alone cannot tell apart, and what the other side must look for in its log (groundtruth 1.4)."""

from ipsecfleet.model.diagnosis import Cause, Suspect
from ipsecfleet.model.net import Selector
from ipsecfleet.model.notice import Notice
from ipsecfleet.plan.diagnose.side import Side

UNREACHABLE = "it is down, or a filter is between"
LOST = "its answers are lost on their way back"
LOST_PHASE1 = "it has lost its phase 1"


def unanswered(side: Side) -> tuple[Suspect, ...]:
    """Nothing came back at all."""
    here = side.address
    return (
        Suspect(UNREACHABLE, f"there: tcpdump shows no packet from {here} to udp port 500"),
        Suspect(LOST, f"there: tcpdump shows packets from {here} and answers to them"),
        Suspect(
            Cause.PHASE1_PROPOSAL.value,
            'its log: "attribute_unacceptable: ATTRIBUTE: got OURS, expected ITS OWN", then '
            f'"dropped message from {here} ... NO_PROPOSAL_CHOSEN"',
        ),
        Suspect(
            f"{Cause.NOT_LOADED.value} there",
            'its log: "ENCRYPTION_ALGORITHM: got ..., expected 3DES_CBC", then NO_PROPOSAL_CHOSEN',
        ),
        Suspect(
            Cause.LOCK_OUT.value,
            "its log says nothing; it is over 120 s after the last phase 1 with us began, or as soon as it begins itself",
        ),
    )


def refused_here(side: Side) -> tuple[Suspect, ...]:
    """The peer has begun, and whether our end refuses it cannot be told."""
    return (
        Suspect(f"refused by {side.name}", f"the log of {side.name}: dropped message from {side.peer}"),
        Suspect(LOST, f"there: tcpdump shows no packet from {side.address}"),
    )


def unheard(side: Side, phase: int) -> tuple[Suspect, ...]:
    """An attempt of ours was heard at the other end of ours, and whether that refuses it cannot be told."""
    refused = phase2_unanswered(side)[:-1] if phase > 1 else unanswered(side)[2:-1]
    return (*refused, Suspect(LOST, "its log has none of these"))


def of_given_up(side: Side, told: Notice) -> tuple[Suspect, ...]:
    """An attempt was given up: in its phase 1, or in its phase 2."""
    of_phase1 = told.details[0].lower() == (side.phase1 or "").lower()
    return unanswered(side) if of_phase1 else phase2_unanswered(side)


def half_way(side: Side) -> tuple[Suspect, ...]:
    """The peer answered, and then no more."""
    here = side.address
    own = side.terms.own_id if side.terms is not None else None
    return (
        Suspect(
            Cause.WRONG_PSK.value,
            'its log: "message_parse_payloads: reserved field non-zero" or the like, then '
            f'"dropped message from {here} ... PAYLOAD_MALFORMED"',
        ),
        Suspect(
            Cause.ID_MISMATCH.value,
            'its log: "ike_phase_1_recv_ID: received remote ID other than expected ITS EXPECTATION"; '
            f"ours is {own or here}",
        ),
        Suspect(LOST, "its log has neither"),
    )


def phase2_unanswered(side: Side) -> tuple[Suspect, ...]:
    """Phase 1 stands, and nobody answers in phase 2."""
    here, networks = side.address, side.end.selectors
    initiator, responder = (_id(networks.local), _id(networks.remote)) if networks else ("OURS", "ITS OWN")
    return (
        Suspect(
            Cause.NETWORKS_UNKNOWN.value,
            f'its log: "peer proposed invalid phase 2 IDs: initiator id {initiator}, responder id {responder}", then '
            f'"dropped message from {here} ... INVALID_ID_INFORMATION"',
        ),
        Suspect(Cause.PHASE2_REFUSED.value, 'its log: NO_PROPOSAL_CHOSEN without a line about "phase 2 IDs"'),
        Suspect(LOST_PHASE1, f'its log: "message_recv: invalid cookie(s)", then "dropped message from {here}"'),
        Suspect(UNREACHABLE, "its log has none of these"),
    )


def _id(selector: Selector) -> str:
    """Networks as isakmpd prints them: with a mask, a host without."""
    net = selector.net
    return str(net.network_address) if net.prefixlen == net.max_prefixlen else str(net.with_netmask)
