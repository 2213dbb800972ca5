"""What a run has come to: one line per tunnel, then what could not be proven, by name."""

from ipsecfleet.model.document import Document, TunnelResult
from ipsecfleet.render.color import paint
from ipsecfleet.render.escape import visible
from ipsecfleet.render.human import DEFAULT, Look, count, joined, wrap

UNPROVEN = "not proven"


def results_text(document: Document, look: Look = DEFAULT) -> str:
    """One line per tunnel, marked where no fresh look proved it; the unproven named again after several."""
    return joined([*(_line(r, look) for r in document.results), *_summary(document.results, look.width)])


def _line(result: TunnelResult, look: Look) -> str:
    mark = paint(UNPROVEN) if look.color else UNPROVEN
    return visible(result.text) if result.ok else f"{mark}: {visible(result.text)}"


def _summary(results: tuple[TunnelResult, ...], width: int) -> list[str]:
    unproven = [visible(r.tunnel) for r in results if not r.ok]
    if len(results) < 2:
        return []
    text = f"{count(len(results), 'tunnel')}: {len(results) - len(unproven)} proven"
    return ["", *wrap(f"{text}, {len(unproven)} {UNPROVEN}: {', '.join(unproven)}" if unproven else text, width)]
