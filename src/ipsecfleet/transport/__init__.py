"""The way to the gateways: one contract, SSH behind it, and a fake. Importing it loads no SSH library."""

from ipsecfleet.transport.contract import Outcome, Transport, Visit
from ipsecfleet.transport.fake import FakeTransport
from ipsecfleet.transport.known_hosts import HostKey, add_host, replace_host
from ipsecfleet.transport.ssh import SshTransport

__all__ = ["FakeTransport", "HostKey", "Outcome", "SshTransport", "Transport", "Visit", "add_host", "replace_host"]
