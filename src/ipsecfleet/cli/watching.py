"""`--watch`: show, or diagnose, again and again, until ^C.

On a terminal the table stays in place; in a pipe, or with -o plain, there is one line for each tunnel that has changed,
the first look being a change of all: a moment, TAB, the tunnel, TAB, its state, TAB, what its ends say, or the cause of
what is the matter with it.
"""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ipsecfleet.cli.session import Session, unread, width
from ipsecfleet.errors import Exit, OperatorError
from ipsecfleet.model.diagnosis import Diagnosis
from ipsecfleet.model.document import Document
from ipsecfleet.model.tunnel import Tunnel
from ipsecfleet.render import RENDERERS, Look, errors_text, visible
from ipsecfleet.render.human import local

FORMS = ("table", "plain")
LEAST_S = 1.0
TOP = "\x1b[H"
REST_OF_LINE, REST_OF_SCREEN = "\x1b[K", "\x1b[J"


@dataclass
class Watch:
    """One watch, a look every `every_s` seconds."""

    session: Session
    every_s: float
    _states: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.every_s < LEAST_S:
            raise OperatorError("--watch looks once a second at most", kind="usage", obj="--watch", hint="--watch 5")
        if (self.session.options.output or "table") not in FORMS:
            text = f"--watch has no {self.session.options.output}"
            raise OperatorError(text, kind="usage", obj="--watch", hint="leave -o out, or run show again and again")

    def run(self, look: Callable[[], Document]) -> Document:
        """Look until ^C; then there is nothing more to say."""
        self.session.progress.enabled = False
        place = sys.stdout.isatty() and self.session.options.output is None
        code = Exit.OK
        try:
            while True:
                document = look()
                code = Exit.OK if document.exit_code is Exit.FINDINGS else document.exit_code
                sys.stdout.write(self._screen(document) if place else self._changes(document))
                sys.stdout.flush()
                time.sleep(self.every_s)
        except KeyboardInterrupt:
            sys.stdout.write("\n" if place else "")
        except BrokenPipeError:
            unread()
        return Document(self.session.command, code, code.word)

    def _screen(self, document: Document) -> str:
        """The whole table over what was there before."""
        look = Look(width(), color=True)
        text = RENDERERS["table"](document, look) + errors_text(document.errors, look.width)
        lines = [f"{_now()}, every {self.every_s:g} s; ^C ends", "", *text.splitlines()]
        return TOP + "".join(f"{line}{REST_OF_LINE}\n" for line in lines) + REST_OF_SCREEN

    def _changes(self, document: Document) -> str:
        now = {t.name: _told(t) for t in document.tunnels or ()} | {
            d.tunnel: _cause(d) for d in document.diagnoses or ()
        }
        before, self._states = self._states, now
        return "".join(f"{_now()}\t{line}\n" for line in _changed(before, now))


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    told = [f"{visible(name)}\t{said}" for name, said in now.items() if before.get(name) != said]
    return [*told, *(f"{visible(name)}\tgone\t" for name in before if name not in now)]


def _told(tunnel: Tunnel) -> str:
    ends = ", ".join(f"{e.gateway} {e.state.value}" for e in tunnel.ends)
    return f"{tunnel.state.value}\t{visible(ends)}"


def _cause(diagnosis: Diagnosis) -> str:
    decided = "nothing" if diagnosis.well else "not decided"
    return f"{diagnosis.state.value}\t{diagnosis.cause.value if diagnosis.cause is not None else decided}"


def _now() -> str:
    return str(local(time.time(), datetime.now().astimezone().tzinfo or UTC))
