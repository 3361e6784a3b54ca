"""The runs of the saga's model. All options are explained in options.hpp."""

from __future__ import annotations

from models.configuration import Configuration

BOTH = "P3: a participant said both success and failure"
REPLAY = "P10: a replay changed something"
HELD = "P6: COMPENSATED while something is still held"
COUNT = "P7: stock now + stock held != stock received"
NO_END = "does not end"


def _run(name: str, options: str = "", left_out: str = "", breaks: str = "", *, small: bool = True) -> Configuration:
    return Configuration("saga", name, tuple(options.split()), left_out, breaks, small)


#: Every rule in place.
HOLD = (
    _run("one-step"),
    _run("user-service", "user sealed"),
    _run("replay-after-the-end", "sealed resolve_by_hand=0"),
    _run("edited-dead-letter", "counted edited_dead_letter stock=2"),
    _run("coupon", "coupon", small=False),
    _run("coupon-replay-after-the-end", "coupon sealed resolve_by_hand=0", small=False),
    _run("foreign-answers", "user foreign must_end=0", small=False),
    _run(
        "two-orders-one-unit",
        "orders=2 counted skip_dead_letters=0 resend_request=0 resolve_by_hand=0",
        small=False,
    ),
    _run(
        "two-orders-one-coupon",
        "orders=2 counted coupon skip_dead_letters=0 resend_request=0 resolve_by_hand=0"
        " replay_participants=0 replay_order=0",
        small=False,
    ),
    _run("two-orders-two-units", "orders=2 counted stock=2 replay_order=0", small=False),
)

PARTICIPANTS = (
    _run(
        "exhausted-without-decision",
        "exhausted_writes_no_decision",
        "exhausted retries write the decision row",
        BOTH,
    ),
    _run(
        "exhausted-ignores-decision",
        "exhausted_ignores_decision",
        "exhausted retries answer by the decision row",
        BOTH,
    ),
    _run(
        "restored-again-false",
        "restored_again_says_false",
        "RESTORED answers a repeated cancel with true",
        "P3: a participant said restored both true and false",
    ),
    _run("refused-tries-again", "refused_tries_again only=P6", "a refusal is final", HELD),
    _run(
        "refused-cancel-unanswered",
        "refused_leaves_cancel_unanswered",
        "every OrderCanceled is answered",
        NO_END,
    ),
    _run("no-barrier", "no_barrier only=P6", "OrderCanceled that comes first leaves a decision", HELD),
    _run(
        "restore-by-event",
        "counted edited_dead_letter stock=2 restore_by_event",
        "give back what the hold rows say",
        COUNT,
    ),
    _run(
        "no-tombstone",
        "user no_tombstone",
        "a canceled purchase stays canceled",
        "purchases: a canceled order is counted",
    ),
)

COORDINATOR = (
    _run(
        "late-success-reopens",
        "late_success_reopens sealed resolve_by_hand=0 only=P10",
        "nothing reopens a canceled saga",
        REPLAY,
    ),
    _run(
        "restored-repeats-success-and-reopens",
        "restored_repeats_first_answer late_success_reopens sealed resolve_by_hand=0 only=P10",
        "RESTORED refuses OrderCreated; nothing reopens",
        REPLAY,
    ),
    _run("undo-never-resent", "undo_never_resent resolve_by_hand=0", "undo requests are sent again", NO_END),
    _run(
        "undo-not-resent-when-stuck",
        "undo_not_resent_when_stuck resolve_by_hand=0",
        "STUCK sends undo requests again",
        NO_END,
    ),
    _run("undo-not-resent-by-hand", "undo_not_resent_by_hand", "BY_HAND sends undo requests again", NO_END),
    _run("stuck-ignores-answers", "stuck_ignores_answers resolve_by_hand=0", "STUCK takes late answers", NO_END),
    _run(
        "by-hand-is-compensated",
        "by_hand_is_compensated",
        "BY_HAND is not COMPENSATED until all have answered",
        HELD,
    ),
    _run(
        "by-hand-adjusts-stock",
        "counted by_hand_adjusts_stock",
        "no stock adjustment goes with resolving by hand",
        COUNT,
    ),
    _run("no-deadline", "no_deadline", "a saga has a deadline", NO_END),
    # Left out without harm: recorded so that nobody has to try again.
    _run(
        "request-resent-in-any-state",
        "request_resent_in_any_state",
        "OrderCreated again only while RUNNING (not needed)",
    ),
    _run(
        "restored-repeats-success",
        "restored_repeats_first_answer sealed resolve_by_hand=0",
        "RESTORED refuses OrderCreated (not needed)",
    ),
)

CONFIGURATIONS = HOLD + PARTICIPANTS + COORDINATOR
