"""Why a connection failed, by phase, in words that say what to do next.

paramiko names most failures by where its own code stood ("No existing session" for a silent port). What matters is
the phase that was under way, and whether the other side hung up or fell silent. sshd closes before its banner when
MaxStartups is reached or the address is locked out by PerSourcePenalties, with "Not allowed at this time" or
"Exceeded MaxStartups" (sshd.c).
"""

import socket
from typing import Any

import paramiko
from paramiko.auth_strategy import AuthFailure

from ipsecfleet.errors import UnreachableError
from ipsecfleet.transport.handshake import Handshake
from ipsecfleet.transport.route import Route
from ipsecfleet.transport.waiting import OverdueError

_QUOTED = 80


def unreachable(route: Route, phase: str, message: str, hint: str = "") -> UnreachableError:
    """An error of a phase of connecting."""
    return UnreachableError(message, phase=phase, hint=hint, kind="unreachable", obj=route.name)


def quoted(text: str) -> str:
    """A stranger's text on one line, with everything odd escaped."""
    return f'"{ascii(text[:_QUOTED])[1:-1]}"'


def explain(route: Route, handshake: Handshake, offer: object, error: Exception) -> UnreachableError:
    """The error of a handshake that failed."""
    if isinstance(error, UnreachableError):
        return error
    if handshake.phase == "tcp":
        return no_tcp(route, error)
    if handshake.phase == "auth":
        return _no_login(route, offer, error)
    silent = handshake.alive or isinstance(error, OverdueError)
    if handshake.phase == "banner":
        return _silent(route, "banner") if silent else _no_banner(route, handshake.preamble)
    return _silent(route, "kex") if silent else _no_keys(route, error)


def no_tcp(route: Route, error: Exception) -> UnreachableError:
    """No connection: not resolved, refused, no answer, or no way through the jump host."""
    if isinstance(error, socket.gaierror):
        return unreachable(
            route, "tcp", f"no such host: {route.where}", "check its address in the inventory or HostName in ssh_config"
        )
    if isinstance(error, ConnectionRefusedError):
        return unreachable(
            route, "tcp", f"connection refused: {route.where}", "is sshd running there, and on that port"
        )
    if isinstance(error, OverdueError | TimeoutError):
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


def _silent(route: Route, phase: str) -> UnreachableError:
    awaited = "ssh banner" if phase == "banner" else "key exchange"
    message = f"silent: {route.where} accepted the connection, then no {awaited} within {route.timeout:g} s"
    return unreachable(route, phase, message, "is it sshd that listens there, and does it still run")


def _no_banner(route: Route, heard: str) -> UnreachableError:
    if route.proxy_command is not None and not heard:
        message = f"no way through: the ProxyCommand of {route.where} ended before an ssh banner came"
        return unreachable(route, "banner", message, f"try it: {quoted(route.proxy_command)}")
    if not heard or "Not allowed at this time" in heard or "MaxStartups" in heard:
        said = f", saying {quoted(heard)}" if heard else ""
        hint = "MaxStartups or PerSourcePenalties of its sshd: wait some minutes before the next login"
        return unreachable(route, "banner", f"turned away: {route.where} hung up before its ssh banner{said}", hint)
    message = f"not ssh: {route.where} said {quoted(heard)}"
    return unreachable(route, "banner", message, "check the port")


def _no_keys(route: Route, error: Exception) -> UnreachableError:
    hint = "compare with ssh -v; its sshd may be too old, or cut the connection"
    return unreachable(route, "kex", f"no key exchange: {route.where}: {_reason(error)}", hint)


def _no_login(route: Route, offer: object, error: Exception) -> UnreachableError:
    who = f"{route.user}@{route.where}"
    cause = _cause(error)
    if isinstance(error, OverdueError) or "timeout" in str(cause).lower():
        return unreachable(
            route, "auth", f"no answer to the login: {who} within {route.timeout:g} s", "look at its authlog"
        )
    if isinstance(cause, paramiko.BadAuthenticationType):
        types = quoted(", ".join(cause.allowed_types))
        return unreachable(
            route, "auth", f"login refused: {who} takes no public key, only {types}", "allow PubkeyAuthentication there"
        )
    hint = f"is the key in authorized_keys of {route.user}; set user or identity in the inventory or ssh_config"
    return unreachable(route, "auth", f"login refused: {who} with {offer}", hint)


def more_than_a_key(route: Route) -> UnreachableError:
    """The key was right and is not enough."""
    message = f"login refused: {route.user}@{route.where} wants more than a public key"
    return unreachable(route, "auth", message, "AuthenticationMethods publickey for this user")


def _cause(error: Exception) -> Any:
    """What the one attempt of an authentication strategy met."""
    if isinstance(error, AuthFailure) and error.result:
        return error.result[-1].result
    return error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return quoted(str(error) or type(error).__name__)
