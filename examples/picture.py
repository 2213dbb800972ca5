# ruff: noqa: INP001  a script, no package
"""What `make picture` runs: a short story in a lab, drawn as a terminal into docs/demo.svg.

    python examples/picture.py docs/demo.svg

What is drawn is what the commands print, at 80 columns and in colours; only where there is a pipe or a terminal does the
program itself know. A branch has another key than its hubs, and one customer's peer refuses phase 2.
"""

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 80
PROGRAM = str(Path(sys.executable).with_name("ipsecfleet"))
STORY = (
    "ipsecfleet show --state half-up,down,black-hole",
    "ipsecfleet diagnose -t oslo-fra",
    "ipsecfleet down -t customer-6 --yes",
    "ipsecfleet up -t customer-6 --yes",
)
MENDED = "ipsecfleet up -t customer-6 --yes"
"""Before this the peer is put right."""


def main() -> int:
    """Play the story, and write the picture to the file that is named."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    with tempfile.TemporaryDirectory(prefix="ipsecfleet-") as folder:
        lab = Path(folder) / "lab"
        os.environ["IPSECFLEET_INVENTORY"] = str(lab / "inventory.toml")
        os.environ["XDG_STATE_HOME"] = folder
        try:
            _begin(lab)
            for line in STORY:
                if line == MENDED:
                    _quietly("lab", "fault", "off", "--dir", str(lab))
                console.print(Text.assemble(("$ ", "bold green"), (line, "bold")))
                console.print(Text.from_ansi(_said(line)))
        finally:
            _quietly("lab", "down", "--dir", str(lab))
    Path(sys.argv[1]).write_text(_plain(console.export_svg(title="ipsecfleet")), encoding="utf-8")
    return 0


def _begin(lab: Path) -> None:
    _quietly("lab", "up", "--speed", "20", "--dir", str(lab))
    _quietly("lab", "fault", "wrong-psk", "10.1.10.2", "--dir", str(lab))
    _quietly("lab", "advance", "75s", "--dir", str(lab))


def _quietly(*words: str) -> None:
    subprocess.run([PROGRAM, *words], stdout=subprocess.DEVNULL, check=True)  # noqa: S603  ours


def _said(line: str) -> str:
    words = [PROGRAM, *line.split()[1:], "--color", "always"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603  ours
    return done.stdout


def _plain(svg: str) -> str:
    """With its blanks, without the fonts that it would load from elsewhere, and with the same names at each drawing."""
    svg = svg.replace("<svg ", '<svg xml:space="preserve" ', 1)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return re.sub(r"terminal-\d+", "terminal", svg)


if __name__ == "__main__":
    sys.exit(main())
