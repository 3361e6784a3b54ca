"""What stops the live consumer stops a replay too: checked in each of its transactions."""

from __future__ import annotations

from messaging.conf import conf
from messaging.errors import ExitCode, RangeRefused
from messaging.inbox import lost_commits, positions
from messaging.parking import pauses
from messaging.replay.plan import Plan

AGAIN = "What came before was applied. Run the same command again"


def lock_positions(plan: Plan) -> None:
    """Lock the positions of the plan's partitions. RangeRefused when the live consumer has yet to read the range."""
    here = positions.lock(plan.group, plan.ranges)
    for place, (_, stop) in plan.ranges.items():
        at = here.get(place)
        if at is None or at < stop:
            raise RangeRefused(
                f"the group {plan.group} is at {'no position' if at is None else at} of {place[0]}/{place[1]}, before"
                f" the range's end {stop}: somebody moved it back, and its workers will read these events. {AGAIN}",
                ExitCode.INCOMPLETE,
            )


def refuse_to_apply(plan: Plan) -> None:
    """RangeRefused when the topic or one of its handlers is paused, or the service is stopped by lost commits."""
    topic = plan.request.topic
    if topic in pauses.paused_topics():
        raise RangeRefused(
            f"{topic}, or a handler of it, is paused; see the pauses in the admin. Fix the cause and run: manage.py"
            f" {conf().service} resume NAME --reason TEXT. {AGAIN}",
            ExitCode.REFUSED,
        )
    if lost_commits.is_flagged():
        raise RangeRefused(
            f"{lost_commits.LOST}: to apply events could contradict what this service has published. See"
            " docs/howto/move-a-group.md",
            ExitCode.REFUSED,
        )
