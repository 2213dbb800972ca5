"""What a command has to say, once, for every output format (docs/ipsecfleet.1, OUTPUT; DESIGN of the JSON object).

A renderer takes a Document and nothing else. An array that does not apply to a command is None and is left out; an
empty one says that there is nothing of the kind. Durations are seconds, moments epoch seconds (UTC), SPIs numbers.
The notes and refusals of `plan` are part of what is said: they need not be repeated in `warnings` and `errors`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ipsecfleet.errors import Exit, IpsecfleetError
from ipsecfleet.model.diagnosis import Diagnosis
from ipsecfleet.model.sa import Flow, Sa
from ipsecfleet.model.tunnel import Tunnel

if TYPE_CHECKING:
    from ipsecfleet.model.plan import Plan

FIFO = "/var/run/isakmpd.fifo"
"""Where isakmpd(8) reads its commands."""


@dataclass(frozen=True, slots=True)
class GatewayRow:
    """One gateway's answer; `state` is ok, unreachable or failed; `level` its privilege (doas, none, restricted)."""

    gateway: str
    state: str
    phase: str | None = None
    error: str | None = None
    hint: str | None = None
    release: str | None = None
    carp: str | None = None
    level: str | None = None
    at: float | None = None


@dataclass(frozen=True, slots=True)
class SaRow:
    """One SA and the gateway it was seen on (None when read from a saved report)."""

    gateway: str | None
    sa: Sa


@dataclass(frozen=True, slots=True)
class FlowRow:
    """One flow and the gateway whose kernel has it."""

    gateway: str | None
    flow: Flow


@dataclass(frozen=True, slots=True)
class LineRow:
    """One FIFO line, the gateway it is for, and where that gateway's FIFO is."""

    gateway: str | None
    line: str
    fifo: str = FIFO


@dataclass(frozen=True, slots=True)
class NameRow:
    """What ipsecctl names one rule of a conf file; `list` is Connections or Passive-Connections."""

    file: str
    line: int
    list: str
    connection: str
    phase1: str


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step of a plan or run; `state` is planned, done, proven, unproven, failed, refused or skipped."""

    gateway: str
    tunnel: str
    action: str
    lines: tuple[str, ...]
    offset_s: float
    state: str
    proof: str | None = None
    at: float | None = None


@dataclass(frozen=True, slots=True)
class TunnelResult:
    """The last line of a changing verb about one tunnel; `ok` when a fresh look proved it."""

    tunnel: str
    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something `check` found: `severity` is info, warning or problem; only the last two are findings (exit 6)."""

    gateway: str | None
    severity: str
    subject: str
    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class GatewayName:
    """A gateway of the inventory, for `inventory list`."""

    gateway: str
    address: str
    groups: tuple[str, ...] = ()
    carp: str | None = None


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run that was kept: how it ended, and its steps counted by state. `torn` if its journal broke off."""

    run: str
    command: str
    result: str
    began: float | None = None
    ended: float | None = None
    tunnels: tuple[str, ...] = ()
    steps: Mapping[str, int] = field(default_factory=dict)
    torn: bool = False


@dataclass(frozen=True, slots=True)
class EventRow:
    """One thing that happened in a run; `at` is our clock in epoch seconds."""

    at: float
    event: str
    text: str
    gateway: str | None = None
    tunnel: str | None = None
    action: str | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class ForecastRow:
    """Key computations to come at one gateway, or in the whole fleet (`gateway` None), with a plan if `proposed`.

    `peak` begin within `window_s` from `peak_in_s` on (epoch: `peak_at`), for these tunnels; `cost` is what they cost in
    negotiations of the usual group. `counts` has one number for each window from now on.
    """

    gateway: str | None
    proposed: bool
    window_s: float
    peak: int
    peak_in_s: float | None = None
    peak_at: float | None = None
    cost: float = 0.0
    tunnels: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CourseRow:
    """How a start of a simulated fleet went by one `strategy`; times in seconds, `back_s` None if some never came up.

    `peaks` are the most negotiations that began within ten seconds at one machine, in each cycle from the start on.
    """

    strategy: str
    peaks: tuple[int, ...]
    waited_most_s: float
    waited_mean_s: float
    back_s: float | None
    timed_out: int


@dataclass(frozen=True, slots=True)
class FileRow:
    """A conf file on a gateway and what a rollout makes of it; `diff` is masked.

    `state` is added, changed, removed, included (in ipsec.conf), unchanged, foreign or unknown.
    """

    gateway: str
    file: str
    state: str
    tunnels: tuple[str, ...] = ()
    diff: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One connection of a gateway in four columns: in the inventory, on the disk, in the daemon, and running."""

    gateway: str
    tunnel: str
    connection: str | None
    file: str | None
    inventory: str
    deployed: str
    loaded: str
    running: str
    differs: bool


@dataclass(frozen=True, slots=True)
class Document:
    """Everything one command says; `result` and `exit_code` belong together (EXIT STATUS).

    `digest` is that of the plan as a file (plan.planfile); `text` is printed as it is where people read.
    """

    command: str
    exit_code: Exit = Exit.OK
    result: str = "ok"
    run: str | None = None
    gateways: tuple[GatewayRow, ...] | None = None
    tunnels: tuple[Tunnel, ...] | None = None
    sas: tuple[SaRow, ...] | None = None
    flows: tuple[FlowRow, ...] | None = None
    steps: tuple[StepRow, ...] | None = None
    lines: tuple[LineRow, ...] | None = None
    names: tuple[NameRow, ...] | None = None
    findings: tuple[Finding, ...] | None = None
    diagnoses: tuple[Diagnosis, ...] | None = None
    inventory: tuple[GatewayName, ...] | None = None
    runs: tuple[RunRow, ...] | None = None
    events: tuple[EventRow, ...] | None = None
    forecast: tuple[ForecastRow, ...] | None = None
    courses: tuple[CourseRow, ...] | None = None
    files: tuple[FileRow, ...] | None = None
    drift: tuple[DriftRow, ...] | None = None
    digest: str | None = None
    text: str | None = None
    plan: "Plan | None" = None
    results: tuple[TunnelResult, ...] = ()
    warnings: tuple[IpsecfleetError, ...] = ()
    errors: tuple[IpsecfleetError, ...] = ()
