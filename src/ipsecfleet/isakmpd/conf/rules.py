"""What an ipsec.conf comes down to: expanded rules, with the names that ipsecctl(8) gives them.

Source: ike_gen_config and ike_delete_config in ike.c of sbin/ipsecctl. A list of hosts or `any` makes several rules of
one line. `ipsecctl -d` writes four lines for an ike rule; phase 1, its key and the transforms stay in the daemon.
"""

from dataclasses import dataclass, replace

from ipsecfleet.isakmpd.conf.transforms import Proposal
from ipsecfleet.isakmpd.names import connection_name
from ipsecfleet.model.net import Network, Selectors
from ipsecfleet.model.secret import Secret

CONNECTIONS = "Connections"
PASSIVE_CONNECTIONS = "Passive-Connections"


@dataclass(frozen=True, slots=True)
class Terms:
    """What an ike rule says besides networks and peer, the same for every rule that one line expands to.

    `mode` is active, passive or dynamic, `satype` esp or ah, `tmode` tunnel or transport. Without `psk` the two ends
    authenticate by RSA keys. `interface` is the sec(4) interface that the rule is for.
    """

    mode: str
    satype: str
    tmode: str
    main: Proposal
    quick: Proposal
    aggressive: bool = False
    srcid: str | None = None
    dstid: str | None = None
    psk: Secret | None = None
    tag: str | None = None
    interface: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One ike rule after expansion, as written at `file` and `line`.

    `peer` None is the default peer. `selectors` are the networks that its name tells, None for a sec(4) interface and
    where only the gateway can look a host up; `nat` stands in the flows instead of the local network. With
    `depends_on_gateway` the names hold a word that ipsecctl replaces there, and the rule may become several.
    """

    file: str
    line: int
    terms: Terms
    local_id: str
    remote_id: str
    phase1: str
    peer: str | None = None
    local: str | None = None
    selectors: Selectors | None = None
    nat: Network | None = None
    depends_on_gateway: bool = False

    @property
    def connection(self) -> str:
        """The name of its phase 2."""
        return connection_name(self.local_id, self.remote_id)

    @property
    def flow_selectors(self) -> Selectors | None:
        """The networks of its flows."""
        if self.selectors is None or self.nat is None:
            return self.selectors
        return replace(self.selectors, local=replace(self.selectors.local, net=self.nat))

    @property
    def mode(self) -> str:
        """Who begins: active, passive or dynamic."""
        return self.terms.mode

    @property
    def list(self) -> str:
        """The daemon's list that it stands in."""
        return PASSIVE_CONNECTIONS if self.mode == "passive" else CONNECTIONS


@dataclass(frozen=True, slots=True)
class FlowRule:
    """One `flow` rule after expansion; a rule without a direction is two.

    `source` and `target` are as its packets go; `selectors` are local and remote, None where only the gateway knows.
    """

    file: str
    line: int
    satype: str
    direction: str
    source: str
    target: str
    type: str
    selectors: Selectors | None = None
    peer: str | None = None
    local: str | None = None
    srcid: str | None = None
    dstid: str | None = None


@dataclass(frozen=True, slots=True)
class ManualRule:
    """A rule that sets up SAs by hand, as written: `satype` is esp, ah, ipcomp, ipip or tcpmd5."""

    file: str
    line: int
    satype: str


def delete_lines(rule: Rule) -> tuple[str, str, str, str]:
    """What `ipsecctl -d` writes into the FIFO for that rule."""
    name = rule.connection
    return f"t {name}", f"C rmv [Phase 2]:{rule.list}={name}", f"C rms [{name}]", f"C rms [phase2-{name}]"
