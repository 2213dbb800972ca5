"""Where the inventory is found: `-i`, $IPSECFLEET_INVENTORY, the one under ./inventories, the operator's own."""

import os
from dataclasses import replace
from pathlib import Path

from ipsecfleet.errors import OperatorError
from ipsecfleet.inventory import parse
from ipsecfleet.model.fleet import Fleet, Gateway

FILE = "inventory.toml"


def load_fleet(given: Path | None) -> Fleet:
    """The fleet of the inventory that applies; an empty one where there is none and none was asked for."""
    path = find(given)
    if path is None:
        return Fleet()
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"cannot read the inventory {path}: {error.strerror}", kind="inventory") from None
    except UnicodeDecodeError:
        raise OperatorError(f"the inventory {path} is not UTF-8", kind="inventory", obj=str(path)) from None
    fleet = parse(text, source=str(path))
    return replace(fleet, gateways=tuple(_located(g, path.parent) for g in fleet.gateways))


def find(given: Path | None) -> Path | None:
    """The inventory file, or None; OperatorError if several could be meant, or the one asked for is not there."""
    asked = given or (Path(text) if (text := os.environ.get("IPSECFLEET_INVENTORY")) else None)
    if asked is not None:
        path = asked / FILE if asked.is_dir() else asked
        if not path.is_file():
            hint = "name an inventory.toml, or a folder that has one"
            raise OperatorError(f"there is no inventory at {path}", kind="inventory", obj=str(path), hint=hint)
        return path
    near = sorted(Path("inventories").glob(f"*/{FILE}"))
    if len(near) > 1:
        names = ", ".join(map(str, near))
        raise OperatorError(f"several inventories: {names}", kind="inventory", hint="name one by -i")
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "ipsecfleet" / FILE
    return near[0] if near else home if home.is_file() else None


def _located(gateway: Gateway, folder: Path) -> Gateway:
    """Paths of the inventory are beside it."""
    beside = {n: _beside(folder, getattr(gateway, n)) for n in ("known_hosts", "identity")}
    return replace(gateway, known_hosts=beside["known_hosts"], identity=beside["identity"])


def _beside(folder: Path, text: str | None) -> str | None:
    return None if text is None else str(folder / Path(text).expanduser())
