"""A virtual clock, and the single thread of a daemon on it.

isakmpd does everything in one loop: packets, FIFO lines, timers and key computation exclude each other (isakmpd.c).
Here a computation occupies the thread for as long as it costs; whatever comes meanwhile waits its turn.
"""

import heapq
from collections import deque
from collections.abc import Callable

Action = Callable[[], None]


class Timer:
    """Something due at one moment; `cancel` before it makes nothing happen."""

    def __init__(self, due: float, action: Action) -> None:
        self.due = due
        self._action: Action | None = action

    @property
    def pending(self) -> bool:
        return self._action is not None

    def cancel(self) -> None:
        self._action = None

    def fire(self) -> None:
        action, self._action = self._action, None
        if action:
            action()


class Clock:
    """Moments in seconds, as they are due; what is due at the same moment happens in the order it was asked for."""

    def __init__(self, start: float) -> None:
        self.now = start
        self._heap: list[tuple[float, int, Timer]] = []
        self._asked = 0

    def at(self, due: float, action: Action) -> Timer:
        """Call `action` at the moment `due`, at once if that has passed."""
        timer = Timer(max(due, self.now), action)
        self._asked += 1
        heapq.heappush(self._heap, (timer.due, self._asked, timer))
        return timer

    def after(self, seconds: float, action: Action) -> Timer:
        return self.at(self.now + seconds, action)

    def next_due(self) -> float | None:
        """The moment of the next thing that will happen, or None."""
        while self._heap and not self._heap[0][2].pending:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run_until(self, to: float) -> None:
        """Let happen whatever is due up to and at `to`, in order."""
        while (due := self.next_due()) is not None and due <= to:
            self.now = max(self.now, due)
            heapq.heappop(self._heap)[2].fire()
        self.now = max(self.now, to)


class Thread:
    """One loop: jobs in the order they came, computations of the running job before the next one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._inbox: deque[Action] = deque()
        self._computations: deque[tuple[float, Action]] = deque()
        self._occupied = False
        self._stopped = False

    def post(self, job: Action) -> None:
        """Do `job` when the thread is free."""
        if not self._stopped:
            self._inbox.append(job)
            self._turn()

    def compute(self, seconds: float, then: Action) -> None:
        """Occupy the thread for `seconds`, then go on with `then`; computations asked for in one job add up."""
        self._computations.append((seconds, then))
        self._turn()

    def stop(self) -> None:
        """Nothing more happens, not even what waits."""
        self._stopped = True
        self._inbox.clear()
        self._computations.clear()

    def _turn(self) -> None:
        while not self._occupied and not self._stopped:
            if self._computations:
                self._occupied = True
                self._occupy(*self._computations.popleft())
                return
            if not self._inbox:
                return
            self._run(self._inbox.popleft())

    def _occupy(self, seconds: float, then: Action) -> None:
        self._clock.after(seconds, lambda: self._release(then))

    def _run(self, job: Action) -> None:
        self._occupied = True
        job()
        self._occupied = False

    def _release(self, then: Action) -> None:
        if not self._stopped:
            self._run(then)
            self._turn()
