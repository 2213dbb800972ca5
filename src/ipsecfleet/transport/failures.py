"""Why a visit failed, by phase, in words that say what to do next; the same on every path.

What matters is the phase that was under way, and whether the other side hung up or fell silent. sshd closes before its
banner when MaxStartups is reached or the address is locked out by PerSourcePenalties, with "Not allowed at this time"
or "Exceeded MaxStartups" (sshd.c).
"""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipsecfleet.errors import GatewayError, UnreachableError

if TYPE_CHECKING:
    from ipsecfleet.transport.contract import Visit
    from ipsecfleet.transport.route import Route

_QUOTED = 80
_MAY_RUN = "it may have done its work: look again before repeating it"


@dataclass(frozen=True, slots=True)
class Break:
    """Where a handshake ended: its phase, whether the server fell silent or hung up, what it said before a banner."""

    phase: str
    silent: bool
    heard: str = ""


def unreachable(route: "Route", phase: str, message: str, hint: str = "") -> UnreachableError:
    """An error of a phase of connecting."""
    return UnreachableError(message, phase=phase, hint=hint, kind="unreachable", obj=route.name)


def quoted(text: str) -> str:
    """A stranger's text on one line, with everything odd escaped."""
    return f'"{ascii(text[:_QUOTED])[1:-1]}"'


# Connecting.


def broken(route: "Route", end: Break, error: Exception) -> UnreachableError:
    """A handshake that ended before the login: no connection, no banner, no keys."""
    if end.phase == "tcp":
        return no_tcp(route, error)
    if end.silent:
        return _silent(route, end.phase)
    return _no_banner(route, end.heard) if end.phase == "banner" else _no_keys(route, error)


def no_tcp(route: "Route", error: Exception) -> UnreachableError:
    """No connection: not resolved, refused, no answer, or no way through the jump host."""
    if isinstance(error, socket.gaierror):
        return unreachable(
            route, "tcp", f"no such host: {route.where}", "check its address in the inventory or HostName in ssh_config"
        )
    if isinstance(error, ConnectionRefusedError):
        return unreachable(
            route, "tcp", f"connection refused: {route.where}", "is sshd running there, and on that port"
        )
    if isinstance(error, TimeoutError):
        hint = "is it up, and does a packet filter let ssh through; --connect-timeout waits longer"
        return unreachable(route, "tcp", f"no answer: {route.where} within {route.timeout:g} s", hint)
    if route.via is not None:
        message = f"no way through: {route.via.name} cannot connect to {route.where}: {_reason(error)}"
        return unreachable(
            route, "tcp", message, "can the jump host reach it, and does its sshd allow AllowTcpForwarding"
        )
    return unreachable(
        route, "tcp", f"no connection: {route.where}: {_reason(error)}", "check its address and the way there"
    )


def _silent(route: "Route", phase: str) -> UnreachableError:
    awaited = "ssh banner" if phase == "banner" else "key exchange"
    message = f"silent: {route.where} accepted the connection, then no {awaited} within {route.timeout:g} s"
    return unreachable(route, phase, message, "is it sshd that listens there, and does it still run")


def _no_banner(route: "Route", heard: str) -> UnreachableError:
    if route.proxy_command is not None and not heard:
        message = f"no way through: the ProxyCommand of {route.where} ended before an ssh banner came"
        return unreachable(route, "banner", message, f"try it: {quoted(route.proxy_command)}")
    if not heard or "Not allowed at this time" in heard or "MaxStartups" in heard:
        said = f", saying {quoted(heard)}" if heard else ""
        hint = "MaxStartups or PerSourcePenalties of its sshd: wait some minutes before the next login"
        return unreachable(route, "banner", f"turned away: {route.where} hung up before its ssh banner{said}", hint)
    message = f"not ssh: {route.where} said {quoted(heard)}"
    return unreachable(route, "banner", message, "check the port")


def _no_keys(route: "Route", error: Exception) -> UnreachableError:
    hint = "compare with ssh -v; its sshd may be too old, or cut the connection"
    return unreachable(route, "kex", f"no key exchange: {route.where}: {_reason(error)}", hint)


def ending(name: str) -> UnreachableError:
    """A visit that is asked for when the run is over."""
    return UnreachableError(f"not connected: {name}: the run is ending", phase="tcp", kind="unreachable", obj=name)


# The login.


def no_answer_to_login(route: "Route") -> UnreachableError:
    """The server fell silent."""
    message = f"no answer to the login: {_who(route)} within {route.timeout:g} s"
    return unreachable(route, "auth", message, "look at its authlog")


def login_refused(route: "Route", offer: object) -> UnreachableError:
    """The server did not take the key, or hung up on it."""
    hint = f"is the key in authorized_keys of {route.user}; set user or identity in the inventory or ssh_config"
    return unreachable(route, "auth", f"login refused: {_who(route)} with {offer}", hint)


def takes_no_key(route: "Route", ways: Iterable[str]) -> UnreachableError:
    """The server wants something else than a public key."""
    message = f"login refused: {_who(route)} takes no public key, only {quoted(', '.join(ways))}"
    return unreachable(route, "auth", message, "allow PubkeyAuthentication there")


def more_than_a_key(route: "Route") -> UnreachableError:
    """The key was right and is not enough."""
    message = f"login refused: {_who(route)} wants more than a public key"
    return unreachable(route, "auth", message, "AuthenticationMethods publickey for this user")


def no_agent(route: "Route") -> UnreachableError:
    """The agent that is to give a key does not answer."""
    message = f"no key for {route.user}@{route.name}: the agent does not answer"
    return unreachable(route, "auth", message, "look at SSH_AUTH_SOCK, or set identity")


def _who(route: "Route") -> str:
    return f"{route.user}@{route.where}"


# The command.


def no_session(visit: "Visit", why: str) -> UnreachableError:
    """The server opens no channel."""
    message = f"no channel: {visit.gateway.name} refused a session ({why.lower()})"
    return _not_started(visit, message, "MaxSessions of its sshd, or a key that allows no commands")


def no_channel(visit: "Visit") -> UnreachableError:
    """The server did not answer when it was asked for a channel."""
    message = f"no channel: {visit.gateway.name} opened none, though the login was right"
    return _not_started(visit, message, "is its sshd frozen or overloaded")


def no_command(visit: "Visit") -> UnreachableError:
    """The server opens a channel and runs nothing in it."""
    message = f"no command: {visit.gateway.name} refused to run one"
    return _not_started(visit, message, "does its sshd or the key's options forbid commands")


def no_end(visit: "Visit", received: int) -> GatewayError:
    """The command ran over its deadline."""
    message = f"no end: the command on {visit.gateway.name} ran over {visit.deadline_s:g} s ({received} bytes came)"
    return _failed(visit, message, _MAY_RUN)


def lost(visit: "Visit") -> GatewayError:
    """The connection ended before the command did."""
    return _failed(visit, f"connection lost: {visit.gateway.name} hung up while the command ran", _MAY_RUN)


def too_much(visit: "Visit") -> GatewayError:
    """The command said more than its visit allows."""
    message = f"too much output: {visit.gateway.name} sent more than {visit.limit} bytes"
    return _failed(visit, message, "is it the visit program that answers")


def _failed(visit: "Visit", message: str, hint: str) -> GatewayError:
    return GatewayError(message, phase="command", hint=hint, obj=visit.gateway.name)


def _not_started(visit: "Visit", message: str, hint: str) -> UnreachableError:
    return UnreachableError(message, phase="channel", hint=hint, kind="unreachable", obj=visit.gateway.name)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, EOFError) and not str(error):
        return "it hung up"
    return quoted(str(error) or type(error).__name__)
