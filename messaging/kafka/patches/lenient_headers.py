"""Header names that are no UTF-8 text: kafka-python 3.0.12 raises at them, and then its poll() never returns again.

Anybody who may write a topic could stop its readers with one such record. Java's client, and librdkafka, give the
name to the reader; here it is given with U+FFFD for what is no text.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from kafka.record.default_records import DefaultRecordBatch


class _Lenient(bytearray):
    """The bytes of a batch, whose pieces decode with replacement."""

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        return _Lenient(part) if isinstance(index, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, "replace")


def install() -> None:
    """Let every consumer of this process read such records; the usual ones are read as before."""
    read = DefaultRecordBatch._read_msg
    if hasattr(read, "__wrapped__"):
        return

    @wraps(read)
    def read_leniently(batch: Any, *arguments: Any) -> Any:
        try:
            return read(batch, *arguments)
        except UnicodeDecodeError:
            strict, batch._buffer = batch._buffer, _Lenient(batch._buffer)
            try:
                return read(batch, *arguments)
            finally:
                batch._buffer = strict

    DefaultRecordBatch._read_msg = read_leniently
