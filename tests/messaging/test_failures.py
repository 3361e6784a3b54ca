"""What kind of failure an exception is."""

from __future__ import annotations

import psycopg2
import pytest
from django.db import DataError, IntegrityError, InterfaceError, InternalError, OperationalError
from kafka.errors import KafkaTimeoutError

from messaging import database
from messaging.error_kinds import Kind, failure_of, fingerprint, kind_of
from messaging.errors import ConnectionLost, PositionMoved, TransientError


class Coded(Exception):
    """Stands in for psycopg2's error, which carries the SQLSTATE."""

    def __init__(self, pgcode: str | None) -> None:
        self.pgcode = pgcode


def caused(error: Exception, pgcode: str | None) -> Exception:
    error.__cause__ = Coded(pgcode)
    return error


@pytest.mark.parametrize("pgcode", ["40001", "40P01", "55P03", "57014"])
def test_two_transactions_in_each_others_way_are_transient(pgcode):
    assert kind_of(caused(OperationalError(), pgcode)) is Kind.TRANSIENT


@pytest.mark.parametrize("pgcode", ["08006", "53100", "53300", "57P01", "57P03", "58030", "25P03"])
def test_a_database_that_cannot_work_is_an_outage(pgcode):
    assert kind_of(caused(OperationalError(), pgcode)) is Kind.OUTAGE


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("server closed the connection"),
        InterfaceError("connection already closed"),
        caused(InternalError("read-only transaction"), "25006"),
        KafkaTimeoutError(),
        ConnectionLost(),
    ],
)
def test_a_lost_connection_is_an_outage(error):
    assert kind_of(error) is Kind.OUTAGE


@pytest.mark.parametrize(
    "error", [ValueError(), KeyError(), caused(IntegrityError(), "23505"), caused(DataError(), "22001")]
)
def test_anything_else_is_taken_for_a_bug(error):
    assert kind_of(error) is Kind.BUG


def test_a_handler_may_declare_what_is_worth_a_retry():
    assert kind_of(TransientError()) is Kind.TRANSIENT
    assert kind_of(TimeoutError(), (TimeoutError,)) is Kind.TRANSIENT
    assert kind_of(TimeoutError()) is Kind.BUG


def test_another_workers_progress_is_no_failure():
    assert kind_of(PositionMoved()) is Kind.MOVED


def test_equal_failures_have_equal_fingerprints_whatever_their_message():
    assert print_of("one") == print_of("two") == "ValueError at messaging/test_failures.py:fails"


def print_of(message: str) -> str:
    def fails() -> None:
        raise ValueError(message)

    with pytest.raises(ValueError, match=message) as caught:
        fails()
    return fingerprint(caught.value)


@pytest.mark.django_db(transaction=True)
def test_a_trivial_write_tells_a_database_that_works_from_one_that_is_gone(monkeypatch):
    assert database.takes_writes()
    monkeypatch.setattr(database, "own_connection", _no_connection)
    assert not database.takes_writes()


def _no_connection(**_):
    raise psycopg2.OperationalError("gone")


class Unshowable(Exception):
    """An exception of somebody's library, with a bug of its own."""

    def __repr__(self) -> str:
        raise ZeroDivisionError("repr() itself fails")

    __str__ = __repr__


def test_an_exception_that_cannot_be_shown_is_kept_by_its_type():
    failure = failure_of(Unshowable())
    assert failure.error == "<Unshowable, whose repr() raised ZeroDivisionError>"
    assert "Unshowable" in failure.traceback
