"""Which faults happen when, to whom: all of it drawn from a seed, so that a run can be repeated.

Every fault has a time of its own, and no more than a few overlap: a system of which nothing is left can prove nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

from config.topology import SERVICES, TOPICS
from tests.faults import crash_points

KILL, BACKEND, CRASH = "kill", "kill a backend", "crash at a point"
FREEZE, CUT, DELAY, LOSS = "freeze", "cut", "delay", "one-way loss"
DUPLICATE, LATE, CORRUPT = "duplicate records", "late records", "corrupt records"
CLOCK, DISK = "clock jump", "full disk"
REFUSE, ROLE, ABORT = "redis refuses writes", "another role", "aborted transaction"
TWIN, UPPER, LARGE = "one id from two sources", "upper-case keys", "large unreadable records"
STRANGER, REMADE = "foreign member", "topic made again"
KILLS = (KILL, BACKEND, CRASH)

WEBS = [f"{name}-web" for name in SERVICES]
WORKERS = [f"{group.name}-worker" for service in SERVICES.values() for group in service.groups]
BEATS = [f"{name}-beat" for name in SERVICES]
DATABASES = [f"postgres-{name}" for name in SERVICES]
LINKS = [f"{name}-{server}" for name in SERVICES for server in ("database", "kafka")]
EVENT_TOPICS = [name for name in TOPICS if not name.endswith((".status", ".dead-letters"))]
#: A topic that nothing is published to while customers order, so that its own records can be given back to it.
QUIET_TOPIC, ITS_READER = "product.catalog", "order-worker"
#: A topic that one service reads: what is written there fills the disk of one database.
TOPIC_OF_ONE = "coupon.claims"
#: Who may get a foreign member: the consumer group and a topic that it reads.
GROUPS = [(group.name, group.topics[0]) for service in SERVICES.values() for group in service.groups]
#: How long, in seconds, to keep other faults from a worker whose topic is made again: its operator needs it.
OPERATOR_SECONDS = 30.0
#: The database of the one service whose disk can be full (disk.py).
FULL = "postgres-order"

#: Of all faults, how many are SIGKILLs.
KILLED_SHARE = 0.46
#: Beside the kills: how often each kind comes, relatively.
WEIGHTS = {
    FREEZE: 14,
    CUT: 9,
    DELAY: 8,
    LOSS: 8,
    DUPLICATE: 5,
    LATE: 4,
    CORRUPT: 3,
    CLOCK: 4,
    DISK: 1,
    REFUSE: 2,
    ROLE: 3,
    ABORT: 4,
    TWIN: 3,
    UPPER: 3,
    LARGE: 1,
    STRANGER: 3,
    REMADE: 1,
}
#: Among the kills: how often each target is hit.
KILL_WEIGHTS = {
    **{(KILL, name): 3 for name in WEBS},
    **{(KILL, name): 6 for name in WORKERS},
    **{(KILL, name): 1 for name in BEATS},
    **{(KILL, name): 2 for name in DATABASES},
    **{(BACKEND, name): 2 for name in DATABASES},
    (KILL, "kafka"): 5,
    (KILL, "redis"): 3,
}
#: Crash points among the kills.
CRASHED_SHARE = 0.3
#: The processes that come by the relay's points at any pace worth waiting for.
RELAYS = ["order-worker", "product-worker", "coupon-worker"]
CRASHES = [
    *((name, point) for name in WORKERS for point in crash_points.OF_CONSUMER),
    *((name, point) for name in RELAYS for point in crash_points.OF_RELAY),
    *(("order-web", point) for point in crash_points.OF_WEB),
]

#: How long a target is left alone after its fault, in seconds.
RECOVERY = {"kafka": 7.0, **dict.fromkeys(DATABASES, 5.0), **dict.fromkeys(WORKERS, 7.0)}
DEFAULT_RECOVERY = 3.0
#: What everybody, or a whole service, depends on.
HEAVY = {"kafka", "redis", *DATABASES, *LINKS}
MOST_HEAVY, MOST = 2, 4
#: Seconds between two faults: a short run is a dense one.
BRIEF_FAULTS, BRIEF_PACE, PACE = 60, 2.4, 4.5


@dataclass(frozen=True)
class Fault:
    """What happens at `at` (seconds after the first order) to `target`, for `seconds` (0: a moment)."""

    number: int
    at: float
    kind: str
    target: str
    seconds: float = 0.0
    detail: str = ""

    @property
    def until(self) -> float:
        """When the target may be hit again."""
        return self.at + self.seconds + RECOVERY.get(self.target, DEFAULT_RECOVERY)


@dataclass(frozen=True)
class Draft:
    """A fault without its time."""

    kind: str
    target: str
    seconds: float = 0.0
    detail: str = ""


#: Kinds whose target is always the same, and those of them that last.
FIXED = {
    REFUSE: Draft(REFUSE, "redis"),
    ABORT: Draft(ABORT, "order.events"),
    TWIN: Draft(TWIN, "order.events"),
    UPPER: Draft(UPPER, "order.events"),
    LARGE: Draft(LARGE, TOPIC_OF_ONE),
    REMADE: Draft(REMADE, ITS_READER, OPERATOR_SECONDS, QUIET_TOPIC),
}
LASTING = {REFUSE, ABORT}


def draw(seed: int, number: int, kinds: Sequence[str] = tuple(WEIGHTS)) -> list[Fault]:
    """Return so many faults, in the order of their times; `kinds` are those that this machine can do beside kills."""
    chance = random.Random(f"faults {seed}")
    kills = round(number * KILLED_SHARE)
    drafts = [*_kills(chance, kills), *_others(chance, number - kills, kinds)]
    chance.shuffle(drafts)
    return _placed(chance, drafts, pace(number))


def pace(number: int) -> float:
    """Return the seconds between two of so many faults."""
    return BRIEF_PACE if number <= BRIEF_FAULTS else PACE


def _kills(chance: random.Random, number: int) -> list[Draft]:
    """Every kind of process once, then by weight."""
    crashes = round(number * CRASHED_SHARE)
    drafts = [Draft(CRASH, name, 0.0, point) for name, point in _evenly(chance, CRASHES, crashes)]
    kinds = [*(chance.choice(group) for group in (WEBS, WORKERS[:-1], BEATS, DATABASES, DATABASES)), "kafka", "redis"]
    once = [(BACKEND if index == 4 else KILL, name) for index, name in enumerate(kinds)]
    once.append((KILL, "coupon-claims-worker"))
    weighted = [target for target, weight in KILL_WEIGHTS.items() for _ in range(weight)]
    more = _evenly(chance, weighted, max(0, number - crashes - len(once)))
    drafts += [Draft(kind, target) for kind, target in [*once, *more][: number - crashes]]
    return drafts


def _evenly(chance: random.Random, things: Sequence[tuple[str, str]], number: int) -> Iterator[tuple[str, str]]:
    """Each about as often as the others."""
    bag: list[tuple[str, str]] = []
    for _ in range(number):
        bag = bag or chance.sample(things, len(things))
        yield bag.pop()


def _others(chance: random.Random, number: int, kinds: Sequence[str]) -> list[Draft]:
    weights = {kind: weight for kind, weight in WEIGHTS.items() if kind in kinds}
    once = [kind for kind in weights if kind != DISK or number > BRIEF_FAULTS]
    more = chance.choices(list(weights), list(weights.values()), k=max(0, number - len(once)))
    return [_other(chance, kind) for kind in [*once, *more][:number]]


def _other(chance: random.Random, kind: str) -> Draft:
    short = round(chance.uniform(1, 8), 1)
    fixed = FIXED.get(kind)
    if fixed:
        return fixed if fixed.seconds else replace(fixed, seconds=short if kind in LASTING else 0.0)
    match kind:
        case "freeze":
            return _freeze(chance, short)
        case "cut" | "delay" | "one-way loss":
            detail = {CUT: "", DELAY: f"{chance.uniform(0.05, 0.5):.2f}", LOSS: chance.choice(["up", "down"])}[kind]
            return Draft(kind, chance.choice(LINKS), short, detail)
        case "clock jump":
            jump = chance.choice([-1, 1]) * round(60 ** chance.uniform(0.25, 2))
            return Draft(kind, chance.choice(list(SERVICES)), short, str(jump))
        case "another role":
            return Draft(kind, chance.choice(DATABASES), short)
        case "foreign member":
            group, topic = chance.choice(GROUPS)
            return Draft(kind, f"group {group}", round(chance.uniform(8, 15), 1), topic)
        case "full disk":
            return Draft(kind, FULL, round(chance.uniform(2, 6), 1))
        case _:
            return Draft(kind, chance.choice(EVENT_TOPICS), 0.0, str(chance.randint(1, 10)))


def _freeze(chance: random.Random, short: float) -> Draft:
    """A worker now and then for longer than the session timeout (6 s) and the relay's silence (10 s)."""
    target = chance.choice([*WEBS, *WORKERS, *WORKERS, *chance.sample(BEATS, 1), *DATABASES, "kafka", "redis"])
    is_long = target in WORKERS and chance.random() < 0.3
    return Draft(FREEZE, target, round(chance.uniform(7, 13), 1) if is_long else short)


def _placed(chance: random.Random, drafts: list[Draft], step: float) -> list[Fault]:
    """Give each draft a time at which its target is not in trouble already."""
    placed: list[Fault] = []
    waiting = list(drafts)
    for slot in count():
        if not waiting:
            return placed
        at = round(slot * step + chance.uniform(0, step / 2), 2)
        under_way = [fault for fault in placed[-3 * MOST :] if fault.until > at]
        draft = next((each for each in waiting if _fits(each, under_way)), None)
        if draft is not None:
            waiting.remove(draft)
            placed.append(Fault(len(placed) + 1, at, draft.kind, draft.target, draft.seconds, draft.detail))
    return placed


def _fits(draft: Draft, under_way: Sequence[Fault]) -> bool:
    heavy = sum(fault.target in HEAVY for fault in under_way)
    is_free = all(fault.target != draft.target for fault in under_way)
    return is_free and len(under_way) < MOST and (heavy < MOST_HEAVY or draft.target not in HEAVY)
