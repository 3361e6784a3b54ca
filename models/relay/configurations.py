"""The runs of the relay's model. All rows, owners and options are explained in options.hpp."""

from __future__ import annotations

from models.configuration import Configuration

ORDER = "P4: the first occurrences of a key are out of order"
LOST = "P2: a row was deleted that is not in the log"
LAST = "compacted topic"
NO_END = "does not end"


def _run(name: str, options: str = "", left_out: str = "", breaks: str = "", *, small: bool = False) -> Configuration:
    return Configuration("relay", name, tuple(options.split()), left_out, breaks, small)


CONFIGURATIONS = (
    _run("one-owner", "owners=1", small=True),
    _run("one-owner-five-rows", "owners=1 rows=5 page_size=3"),
    _run("two-owners", "rows=3"),
    _run("two-owners-pages", "rows=4"),
    _run(
        "pages-each-its-own-snapshot",
        "owners=1 pages=each_its_own_snapshot",
        "one snapshot for all pages of a round",
        ORDER,
        small=True,
    ),
    _run(
        "two-rows-of-a-key",
        "owners=1 unacknowledged_per_key=2",
        "one row of a key of unknown fate",
        ORDER,
        small=True,
    ),
    _run("failed-row-skipped", "owners=1 failed_row_skipped", "a failed row blocks its key", ORDER, small=True),
    _run(
        "delete-before-acknowledged",
        "owners=1 delete_before_acknowledged",
        "delete only what was acknowledged",
        LOST,
        small=True,
    ),
    _run(
        "overlapping-transactions",
        "owners=1 overlapping_transactions",
        "a key's transactions do not overlap",
        ORDER,
        small=True,
    ),
    _run("cursor", "owners=1 rows=3 cursor only=P2", "find rows by being undeleted", NO_END, small=True),
    # The lock saves duplicates; neither delivery nor order rests on it.
    _run("without-lock", "rows=3 without_lock", "the shard's lock (not needed)"),
    _run("delete-without-lock", "rows=3 delete_without_lock", "delete under the lock (not needed)"),
    _run("compacted-topic", "owners=1 rows=3 compacted", "fencing of producers (not built)", LAST, small=True),
    _run("compacted-topic-fencing", "rows=3 compacted fencing"),
    _run("compacted-topic-republished", "owners=1 rows=3 compacted republishing only=P", small=True),
)
