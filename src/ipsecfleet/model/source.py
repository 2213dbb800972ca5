"""What a conf file of the inventory says, with its keys, on its way to a gateway.

The text is ordinary ipsec.conf(5). Its keys stand in it, or in a file beside it that defines macros: that one is read
first, and the gateway gets both as one file.
"""

from dataclasses import dataclass

from ipsecfleet.model.secret import Secret


@dataclass(frozen=True, slots=True)
class Source:
    """A conf file and the file of secrets beside it, as they are called here."""

    label: str
    own: Secret
    secrets_label: str = ""
    secrets: Secret | None = None

    @property
    def text(self) -> Secret:
        """What the gateway gets."""
        return Secret(self._head + self.own.reveal())

    def place(self, line: int) -> str:
        """Where a line of what the gateway gets stands here."""
        before = self._head.count("\n")
        return f"{self.secrets_label}: {line}" if line <= before else f"{self.label}: {line - before}"

    @property
    def _head(self) -> str:
        head = self.secrets.reveal() if self.secrets is not None else ""
        return head if not head or head.endswith("\n") else f"{head}\n"
