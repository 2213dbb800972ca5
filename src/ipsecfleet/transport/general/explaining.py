"""What paramiko's failures mean: it names most of them by where its own code stood ("No existing session")."""

from typing import Any

from paramiko import BadAuthenticationType
from paramiko.auth_strategy import AuthFailure

from ipsecfleet.errors import UnreachableError
from ipsecfleet.transport import failures
from ipsecfleet.transport.failures import Break
from ipsecfleet.transport.general.handshake import Handshake
from ipsecfleet.transport.route import Route
from ipsecfleet.transport.waiting import OverdueError


def explain(route: Route, handshake: Handshake, offer: object, error: Exception) -> UnreachableError:
    """The error of a handshake that failed."""
    if isinstance(error, UnreachableError):
        return error
    if handshake.phase == "auth":
        return _no_login(route, offer, error)
    silent = handshake.alive or isinstance(error, OverdueError)
    return failures.broken(route, Break(handshake.phase, silent, handshake.preamble), error)


def _no_login(route: Route, offer: object, error: Exception) -> UnreachableError:
    cause = _cause(error)
    if isinstance(error, OverdueError) or "timeout" in str(cause).lower():
        return failures.no_answer_to_login(route)
    if isinstance(cause, BadAuthenticationType):
        return failures.takes_no_key(route, cause.allowed_types)
    return failures.login_refused(route, offer)


def _cause(error: Exception) -> Any:
    """What the one attempt of an authentication strategy met."""
    if isinstance(error, AuthFailure) and error.result:
        return error.result[-1].result
    return error
