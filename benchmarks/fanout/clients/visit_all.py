"""ipsecfleet as a library: the visit of `show sas`, with its program, its request and its answer."""

import sys

from ipsecfleet.isakmpd.verbs import Exchanges, Flows, Host, Report, Sad
from ipsecfleet.isakmpd.visit import Call, Request
from ipsecfleet.model.fleet import Gateway
from ipsecfleet.transport import Outcome, SshTransport, Visit

hosts, home = sys.argv[1].split(","), sys.argv[2]
verbs = (Host(), Report(), Flows(), Sad(), Exchanges(only_if_needed=True))
request = Request("0123456789abcdef0123456789abcdef", verbs)
call = Call.of(request, "none")
visits = (
    Visit(
        Gateway(host, host, user="root", identity=f"{home}/id", known_hosts=f"{home}/known_hosts"),
        call.command, call.stdin, deadline_s=30.0, limit=1 << 20,
    )
    for host in hosts
)  # fmt: skip
right = 0
with SshTransport(keep=False) as transport:
    for _, result in transport.visit_all(visits):
        right += isinstance(result, Outcome) and b" done " in result.stdout[-64:]
print(right)
