"""The daemon's configuration in memory: section, tag, value (isakmpd conf.c).

Sections and tags are found whatever their case; values are kept verbatim, and lists are comma-separated values whose
elements compare exactly.
"""


class Config:
    """What was fed through the FIFO; spelled as it was first set."""

    def __init__(self) -> None:
        self._sections: dict[str, tuple[str, dict[str, tuple[str, str]]]] = {}

    def get(self, section: str, tag: str) -> str | None:
        _, tags = self._sections.get(section.lower(), ("", {}))
        return tags[tag.lower()][1] if tag.lower() in tags else None

    def items(self, section: str, tag: str) -> list[str]:
        """The elements of a list value."""
        value = self.get(section, tag)
        return value.split(",") if value else []

    def number(self, section: str, tag: str, default: int) -> int:
        """A number at the start of a value, as atoi(3) reads it; `default` where there is no value."""
        value = self.get(section, tag)
        if value is None:
            return default
        digits = value.strip()[: len(value.strip()) - len(value.strip().lstrip("0123456789"))]
        return int(digits or 0)

    def set(self, section: str, tag: str, value: str, *, force: bool) -> bool:
        """Set a value; False if there is one already and `force` is not given."""
        if not force and self.get(section, tag) is not None:
            return False
        _, tags = self._sections.setdefault(section.lower(), (section, {}))
        tags[tag.lower()] = (tag, value)
        return True

    def add(self, section: str, tag: str, value: str) -> None:
        """Append to a list unless it is there."""
        items = self.items(section, tag)
        if value not in items:
            self.set(section, tag, ",".join([*items, value]), force=True)

    def remove_value(self, section: str, tag: str, value: str) -> None:
        """Take one element out of a list; an empty list is no tag at all."""
        items = self.items(section, tag)
        if value in items:
            items.remove(value)
            self._store(section, tag, items)

    def remove(self, section: str, tag: str) -> None:
        _, tags = self._sections.get(section.lower(), ("", {}))
        tags.pop(tag.lower(), None)
        if not tags:
            self.remove_section(section)

    def remove_section(self, section: str) -> None:
        self._sections.pop(section.lower(), None)

    def dump(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """All sections with their tags and values, in the order they came."""
        return [(name, list(tags.values())) for name, tags in self._sections.values()]

    def _store(self, section: str, tag: str, items: list[str]) -> None:
        if items:
            self.set(section, tag, ",".join(items), force=True)
        else:
            self.remove(section, tag)
