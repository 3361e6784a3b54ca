"""The error for an unknown name in a body or a query, with the most similar known name."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from itertools import islice

#: An error has at most this many names: comparing is slow, and a body may have a hundred thousand unknown names.
MOST_NAMED = 20
#: No known name is longer.
LONGEST_COMPARED = 64


def refusals(given: Iterable[str], known: Collection[str]) -> dict[str, list[str]]:
    """Return an error for each name of `given` that is not in `known`, by name; at most MOST_NAMED of them."""
    unknown = (name for name in given if name not in known)
    return {name: [_message(name, known)] for name in islice(unknown, MOST_NAMED)}


def _message(name: str, known: Collection[str]) -> str:
    if not known:
        return "Unknown name; this request accepts no fields."
    close = get_close_matches(name, known, n=1) if len(name) <= LONGEST_COMPARED else []
    meant = f' Did you mean "{close[0]}"?' if close else ""
    return f"Unknown name.{meant} Known: {', '.join(sorted(known))}."
