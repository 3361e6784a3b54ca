"""The runs of the consumer's model: switches are explained in README.md, bounds in bounds.pml."""

from __future__ import annotations

from models.configuration import Configuration

PASSED_OVER = "P2_no_event_is_passed_over"
ONCE = "P3_applied_once"
ONE_OUTCOME = "P3_never_applied_and_failed"
ORDER = "P4_order_of_a_key"
ISOLATED = "P5_no_wait_behind_a_handler"
DEADLOCK = "no_deadlock"
DRAINED = "every_queue_is_drained"

ALONE = "WORKERS=1 KILLS=0 REBALANCES=0"
REPLAYED = f"LOG=ONE_KEY REPLAY GROUP_BEGINS_AT=1 TRANSIENT=2 {ALONE}"
FAILED_OVER = f"LOG=ONE_KEY FAILOVER TRANSIENT=2 {ALONE}"
OPERATED = f"LOG=ONE_KEY POISON=1 ACTIONS=1 {ALONE}"
ADDED = "LOG=ONE_KEY NEW_HANDLER GROUP_BEGINS_AT=1 TRANSIENT=2 KILLS=0"
LOG_CHANGED = "TRANSIENT=1 KILLS=0"
LOOKED = f"LOG=CUT WITHOUT_EPOCH LOOKED_IN_TIME TRANSIENT=1 {ALONE}"
SECOND_ATTEMPT = f"LOG=ONE_KEY TRANSIENT=4 RETRIERS=2 {ALONE}"


def _run(name: str, options: str, left_out: str = "", breaks: str = "", *, small: bool = True) -> Configuration:
    return Configuration("consumer", name, tuple(options.split()), left_out, breaks, small)


def _large(name: str, options: str) -> Configuration:
    return Configuration("consumer", name, tuple(options.split()), large=True)


#: Every rule in place.
HOLD = (
    _run("two-workers", "TRANSIENT=2 KILLS=0"),
    _run("one-worker-killed", "TRANSIENT=2 WORKERS=1 REBALANCES=0"),
    _run("failover", FAILED_OVER),
    _run("replay", REPLAYED),
    _run("operator", f"{OPERATED} TRANSIENT=2"),
    _run("repeatable-read-role", f"TRANSIENT=2 REPEATABLE_READ_ROLE {ALONE}"),
    _run("two-topics", f"LOG=TWO_TOPICS TRANSIENT=2 {ALONE}"),
    _large("two-workers-all-faults", "TRANSIENT=3"),
    _large("two-workers-long-log", "LOG=TWO_KEYS_LONG TRANSIENT=2"),
    _run("stale-commit", "STALE_COMMIT TRANSIENT=2 REBALANCES=2 KILLS=0", small=False),
    _large("two-retriers", "TRANSIENT=3 RETRIERS=2 WORKERS=1 REBALANCES=0"),
    _large("operator-two-retriers", f"{OPERATED} TRANSIENT=3 RETRIERS=2"),
    _large("failover-rebalance", "FAILOVER TRANSIENT=2 KILLS=0"),
    _run("replay-killed", "LOG=ONE_KEY REPLAY GROUP_BEGINS_AT=1 TRANSIENT=3 REBALANCES=0 WORKERS=1", small=False),
    _run("two-topics-killed", "LOG=TWO_TOPICS TRANSIENT=4 REBALANCES=0 WORKERS=1", small=False),
    _run("new-handler", ADDED, small=False),
    _run("topic-made-again", f"LOG=MADE_AGAIN {LOG_CHANGED}"),
    _run("log-cut", f"LOG=CUT {LOG_CHANGED}"),
    _run("log-cut-before-epochs-were-kept", LOOKED),
    _run("parking-in-a-checked-transaction", "PARK_IN_SECOND_TRANSACTION TRANSIENT=2 KILLS=0", small=False),
    _run("attempt-in-a-checked-transaction", f"{SECOND_ATTEMPT} ATTEMPT_IN_SECOND_TRANSACTION", small=False),
)

POSITIONS = (
    _run(
        "position-not-compared",
        f"{FAILED_OVER} WITHOUT_COMPARISON",
        "compare the position with that of the fetch",
        ORDER,
    ),
    _run(
        "position-not-compared-while-idle",
        f"{FAILED_OVER} WITHOUT_IDLE_COMPARISON",
        "compare while idle too",
        PASSED_OVER,
    ),
    _run(
        "begin-at-the-lower-offset",
        f"{ADDED} WITHOUT_POSITION_START WITHOUT_COMPARISON WITHOUT_IDLE_COMPARISON",
        "begin at the position row",
        ORDER,
    ),
    _run(
        "no-position-row",
        "LOG=ONE_KEY WITHOUT_POSITION_ROW TRANSIENT=2 KILLS=0",
        "the row exists before the first batch",
        DEADLOCK,
    ),
)

LOGS = (
    _run(
        "position-without-topic-id",
        f"LOG=MADE_AGAIN WITHOUT_TOPIC_ID {LOG_CHANGED}",
        "the topic's id belongs to the position",
        ORDER,
    ),
    _run(
        "topic-id-not-compared",
        f"LOG=MADE_AGAIN COMPARE_OFFSET_ONLY {LOG_CHANGED}",
        "the batch's transaction compares the topic's id too",
        ORDER,
    ),
    _run(
        "position-without-epoch",
        f"LOG=CUT WITHOUT_EPOCH {LOG_CHANGED}",
        "the leader epoch belongs to the position",
        ORDER,
    ),
    _run(
        "stop-that-cures-itself",
        f"{LOOKED} STOP_CURES_ITSELF",
        "a stop outside the log stands until an operator moves it",
        ORDER,
    ),
)

PARKING = (
    _run(
        "parking-unchecked",
        "PARK_IN_SECOND_TRANSACTION PARK_UNCHECKED WITHOUT_COMPARISON TRANSIENT=2 KILLS=0",
        "park under the attempt's locks; compare positions",
        ONCE,
    ),
    _run(
        "attempt-unchecked",
        f"{SECOND_ATTEMPT} ATTEMPT_IN_SECOND_TRANSACTION ATTEMPT_UNCHECKED",
        "record an attempt under its locks, or look again",
        ONE_OUTCOME,
    ),
    _run(
        "park-without-lock",
        f"LOG=TWO_TOPICS TRANSIENT=3 PARK_WITHOUT_LOCK {ALONE}",
        "lock the parked key after ON CONFLICT DO NOTHING",
        DRAINED,
    ),
    _run(
        "everybody-for-update",
        f"TRANSIENT=2 WITHOUT_SHARED_LOCKS {ALONE}",
        "the consumer locks FOR KEY SHARE",
        ISOLATED,
    ),
    _run(
        "head-read-before-lock",
        f"TRANSIENT=2 RETRIERS=2 HEAD_READ_BEFORE_LOCK {ALONE}",
        "lock the key, then read the head",
        ONCE,
    ),
    _run(
        "hand-back-in-one-statement",
        f"TRANSIENT=2 HAND_BACK_IN_ONE_STATEMENT {ALONE}",
        "lock, look, delete: three statements",
        DRAINED,
    ),
    _run(
        "isolation-not-pinned",
        f"TRANSIENT=2 REPEATABLE_READ_ROLE WITHOUT_PIN {ALONE}",
        "our sessions are READ COMMITTED, whatever the role's default",
        DRAINED,
    ),
    _run(
        "hand-back-with-last-event",
        f"TRANSIENT=2 HAND_BACK_WITH_LAST_EVENT {ALONE}",
        "hand back in a transaction of its own",
        DEADLOCK,
    ),
    _run(
        "sweep-over-events",
        f"TRANSIENT=2 SWEEP_OVER_EVENTS {ALONE}",
        "the sweep goes over the parked keys",
        DRAINED,
    ),
)

OPERATIONS = (
    _run(
        "operator-without-lock",
        f"{OPERATED} TRANSIENT=2 OPERATOR_WITHOUT_LOCK",
        "lock the key before retry or skip",
        ONE_OUTCOME,
    ),
    _run(
        "replay-without-position-lock",
        f"{REPLAYED} REPLAY_WITHOUT_POSITION_LOCK",
        "a replay locks the position row",
        ORDER,
    ),
    _run(
        "replay-refuses-behind-done-only",
        f"{REPLAYED} REPLAY_REFUSES_BEHIND_DONE_ONLY",
        "refuse behind a later row in any state",
        ORDER,
    ),
)

CONFIGURATIONS = HOLD + POSITIONS + LOGS + PARKING + OPERATIONS
