"""Options and arguments whose values cost no pydantic.

Since 0.28 typer turns every value, even one that was not given, into its type by a pydantic adapter of its own for each
parameter (typer `core.py`, `_TyperParameter.process_value`): a third of the time of `ipsecfleet names`. Words and paths
need none; the rest, such as a number within bounds, is left to typer. Where typer knows no `get_runtime_param`, nothing
changes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True, slots=True)
class Lean:
    """What turns the words of one parameter into its value; `usual` makes what typer would have taken."""

    usual: Callable[[], Any]

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value, by typer's own contract."""
        several = param.multiple or param.nargs == -1
        if value is None:
            return () if several else None
        annotation = param.type_descriptor.annotation
        kind = getattr(annotation, "__args__", (annotation,))[0]
        if kind not in {str, Path}:
            return self.usual().coerce(value, param=param, ctx=ctx)
        return [kind(word) for word in value] if several else kind(value)


class _Parameters:
    """A command whose parameters are lean."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Its parameters; `--help` is made anew each time."""
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            usual = getattr(param, "get_runtime_param", None)
            if usual is not None and not isinstance(usual, partial):
                param.get_runtime_param = partial(Lean, usual)
        return params


class Command(_Parameters, TyperCommand):
    """A verb."""


class Group(_Parameters, TyperGroup):
    """Verbs under one word, and the application itself."""
