"""Records, headers and queues as a page shows them: pretty-printed, and always escaped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

#: Longest text that one field of a page shows.
MAX_SHOWN = 200_000


def as_text(data: bytes | memoryview | None) -> str:
    """Return raw bytes as text, whatever they are; JSON with line breaks and indentation."""
    text = bytes(data or b"").decode(errors="backslashreplace")[:MAX_SHOWN]
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


def block(text: str) -> SafeString:
    """Return text as it is, in a box that scrolls."""
    return format_html('<pre class="dl-block">{}</pre>', text[:MAX_SHOWN])


def pretty(data: bytes | memoryview | None) -> SafeString:
    """Return raw bytes as a block of readable text."""
    return block(as_text(data))


def table(titles: Sequence[Any], rows: Iterable[Sequence[Any]]) -> SafeString:
    """Return a table; every cell is escaped, unless it is markup already."""
    head = format_html_join("", '<th scope="col">{}</th>', ((title,) for title in titles))
    body = format_html_join("", "<tr>{}</tr>", ((_cells(row),) for row in rows))
    return format_html('<table class="dl-table"><thead><tr>{}</tr></thead><tbody>{}</tbody></table>', head, body)


def _cells(row: Sequence[Any]) -> SafeString:
    return format_html_join("", "<td>{}</td>", ((cell,) for cell in row))


def shortened(text: str, length: int = 120) -> str:
    """Return the beginning of a text."""
    return text if len(text) <= length else f"{text[:length]}…"


def nothing() -> SafeString:
    """Return what stands in a cell without a value."""
    return mark_safe("–")
