"""A service whose own database is gone, frozen, read only or full: each operation says so in time.

Nothing is half done, and what only reads goes on where only writing fails.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import requests

from config.topology import SERVICES
from tests.journeys import endpoints
from tests.journeys.console import Console
from tests.journeys.databases import Databases
from tests.journeys.endpoints import OPERATIONS, PASSWORD, Operation
from tests.journeys.processes import frozen, stopped
from tests.journeys.shop import ANSWER_SECONDS, Person, Shelves, Shop
from tests.journeys.waiting import eventually

#: More requests at once than the web process has threads (8).
MANY = 24
END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = user AND pid <> pg_backend_pid()"

NO_SPACE = """
    CREATE FUNCTION journey_no_space() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$
"""
ON_WRITING = """
    CREATE TRIGGER journey_no_space BEFORE INSERT OR UPDATE OR DELETE ON "{}"
    FOR EACH STATEMENT EXECUTE FUNCTION journey_no_space()
"""
#: What goes on reading, and refuses to write.
READABLE = ("read only", "full")


@pytest.fixture
def person(shop: Shop) -> Person:
    """A member of staff, who may do everything, with an account of their own."""
    return shop.staff()


@pytest.fixture(scope="module")
def account(shop: Shop) -> dict[str, str]:
    """A customer's account, which no operation changes."""
    name, user = f"customer-{uuid4().hex}", Person(shop.urls)
    account = {"username": name, "password": PASSWORD, "email": f"{name}@example.com"}
    user_id = user.call("POST", "user", "/users", account)["id"]
    return {"{user_id}": user_id, "{username}": name}


@pytest.fixture
def ids(account: dict[str, str], person: Person, shelves: Shelves) -> dict[str, str]:
    """What the operations' paths and bodies name; all that they change is new."""
    product, campaign = shelves.product(1_000), shelves.campaign()
    signed_in = Person(person.urls).sign_in(account["{username}"], PASSWORD)
    return account | {
        "{refresh}": signed_in.refresh_token,
        "{session_id}": str(uuid4()),
        "{new}": f"customer-{uuid4().hex}",
        "{product_id}": product,
        "{campaign_id}": campaign,
        "{claim_id}": person.call("POST", "coupon", f"/campaigns/{campaign}/claims")["id"],
        "{order_id}": person.place({product: 1}),
    }


@pytest.fixture(scope="module")
def consoles(variables: dict[str, str]) -> dict[str, Console]:
    """An operator before the admin of each service, who signed in while all was well."""
    return {service: Console(variables, service) for service in SERVICES}


def gone(service: str, databases: Databases) -> AbstractContextManager[None]:
    """Stop the server: connections are refused."""
    return stopped(f"postgres-{service}")


def still(service: str, databases: Databases) -> AbstractContextManager[None]:
    """Freeze the server: connections are taken, and nothing is answered."""
    return frozen(f"postgres-{service}")


@contextmanager
def read_only(service: str, databases: Databases) -> Iterator[None]:
    """Let the server refuse every write, as a standby does."""
    role = databases.value(service, "SELECT user")
    databases.change(service, f"ALTER ROLE {role} SET default_transaction_read_only = on")
    databases.ask(service, END_SESSIONS)
    try:
        yield
    finally:
        databases.change(service, f"ALTER ROLE {role} RESET default_transaction_read_only")
        databases.ask(service, END_SESSIONS)


@contextmanager
def full(service: str, databases: Databases) -> Iterator[None]:
    """Let every write fail as it does on a full disk."""
    databases.change(service, NO_SPACE)
    try:
        for (table,) in databases.ask(service, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
            databases.change(service, ON_WRITING.format(table))
        yield
    finally:
        databases.change(service, "DROP FUNCTION journey_no_space CASCADE")


OUTAGES: dict[str, Callable[[str, Databases], AbstractContextManager[None]]] = {
    "gone": gone,
    "still": still,
    "read only": read_only,
    "full": full,
}


def is_ready(url: str) -> bool:
    return requests.get(f"{url}/readyz", timeout=ANSWER_SECONDS).status_code == 200


def test_every_operation_of_every_service_is_known_here(person: Person):
    assert {str(each) for each in OPERATIONS} == set().union(*(endpoints.declared(person, name) for name in SERVICES))


@pytest.mark.parametrize("outage", OUTAGES)
@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_answers_503_in_time_when_its_database_does_not_work(
    service: str, outage: str, person: Person, ids: dict[str, str], databases: Databases
):
    with OUTAGES[outage](service, databases):
        answers = send_at_once(endpoints.of(service), person, ids)
        ready = requests.get(f"{person.urls[service]}/readyz", timeout=ANSWER_SECONDS)
        alive = requests.get(f"{person.urls[service]}/livez", timeout=ANSWER_SECONDS)
    eventually(lambda: databases.reconnect(service), f"the database of {service}")
    eventually(lambda: is_ready(person.urls[service]), f"{service} to be ready")

    assert not [wrong for each, answer in answers if (wrong := complaint(each, answer, outage))]
    assert (alive.status_code, ready.status_code) == (200, 200 if outage in READABLE else 503)
    assert not [str(each) for each in endpoints.of(service) if each.send(person, ids).status_code >= 500]


def send_at_once(
    operations: Sequence[Operation], person: Person, ids: dict[str, str]
) -> list[tuple[Operation, requests.Response]]:
    """Send every operation while none of the others is answered yet; return the answers."""
    with ThreadPoolExecutor(len(operations)) as pool:
        answers = pool.map(lambda each: each.send(person.on_another_connection(), ids), operations)
        return list(zip(operations, answers, strict=True))


def complaint(operation: Operation, answer: requests.Response, outage: str) -> str:
    """Return what is wrong with the answer, or nothing."""
    if outage in READABLE and not operation.writes:
        return "" if answer.status_code < 500 else f"{operation} only reads and answered {answer.status_code}"
    problem = answer.json() if answer.headers["Content-Type"] == "application/problem+json" else {}
    found = (answer.status_code, problem.get("code"), "Retry-After" in answer.headers)
    return "" if found == (503, "database_unavailable", True) else f"{operation}: {found} {answer.text[:200]}"


def test_a_web_process_stays_able_to_answer_while_many_wait_for_a_frozen_database(shop: Shop, shelves: Shelves):
    product, customer = shelves.product(1_000), shop.visitor()

    with frozen("postgres-order"), ThreadPoolExecutor(MANY) as pool:
        waiting = [pool.submit(customer.try_to_place, {product: 1}) for _ in range(MANY)]
        health = [requests.get(f"{shop.urls['order']}/{page}", timeout=ANSWER_SECONDS) for page in ("livez", "readyz")]
        refused = [each.result() for each in waiting]

    assert [answer.status_code for answer in health] == [200, 503]
    assert {answer.status_code for answer in refused} == {503}
    eventually(lambda: is_ready(shop.urls["order"]), "the order service to be ready")
    customer.wait_ended(customer.place({product: 1}), "CONFIRMED")


def test_an_order_whose_answer_was_a_503_is_found_again_by_its_key(shop: Shop, shelves: Shelves, databases: Databases):
    product, customer, keys = shelves.product(1_000), shop.visitor(), [str(uuid4()) for _ in range(6)]

    with frozen("postgres-order"), ThreadPoolExecutor(len(keys)) as pool:
        tries = [pool.submit(place_with, customer.on_another_connection(), product, key) for key in keys]
        lost = [each.result().status_code for each in tries]
    eventually(lambda: is_ready(shop.urls["order"]), "the order service to be ready")
    found = [place_with(customer, product, key) for key in keys for _ in range(2)]

    assert set(lost) == {503}
    assert {answer.status_code for answer in found} == {202}
    orders = [answer.json()["id"] for answer in found]
    assert len(set(orders)) == len(keys) == owned(databases, customer)
    for order in set(orders):
        customer.wait_ended(order, "CONFIRMED")
    assert shelves.stock(product) == 1_000 - len(keys)


def test_an_order_whose_customer_hung_up_is_found_again_by_its_key(shop: Shop, shelves: Shelves, databases: Databases):
    product, customer, key = shelves.product(10), shop.visitor(), str(uuid4())
    body = requests.Request("POST", f"{shop.urls['order']}/api/v1/orders", json=wish(product)).prepare()

    send_and_hang_up(body, {**customer.http.headers, "Idempotency-Key": key})
    eventually(lambda: owned(databases, customer) == 1, "the order to be placed")
    answer = place_with(customer, product, key)

    assert (answer.status_code, owned(databases, customer)) == (202, 1)
    customer.wait_ended(answer.json()["id"], "CONFIRMED")


def wish(product: str) -> dict[str, object]:
    return {"lines": [{"product_id": product, "quantity": 1}], "coupon_id": None}


def place_with(customer: Person, product: str, key: str) -> requests.Response:
    return customer.request("POST", "order", "/orders", wish(product), Idempotency_Key=key)


def owned(databases: Databases, customer: Person) -> int:
    """Return how many orders the customer has."""
    return int(databases.value("order", "SELECT count(*) FROM order_app_order WHERE user_id = %s", [customer.id]))


def send_and_hang_up(request: requests.PreparedRequest, headers: Mapping[str, str | bytes]) -> None:
    """Send the request and close the connection before anything is answered."""
    parts = urlsplit(str(request.url))
    lines = {"Host": parts.netloc, **request.headers, **headers, "Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())  # type: ignore[str-bytes-safe]
    with socket.create_connection((str(parts.hostname), int(parts.port or 80))) as connection:
        connection.sendall(f"POST {parts.path} HTTP/1.1\r\n{head}\r\n".encode() + bytes(request.body or b""))


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("outage", ["gone", "still"])
def test_the_admin_shows_a_page_that_says_so_when_its_database_does_not_work(
    service: str, outage: str, consoles: dict[str, Console], variables: dict[str, str], databases: Databases
):
    console = consoles[service]

    with OUTAGES[outage](service, databases), ThreadPoolExecutor() as pool:
        pages = list(pool.map(console.get, ("/", "/auth/group/", "/login/")))
    eventually(lambda: databases.reconnect(service), f"the database of {service}")
    eventually(lambda: is_ready(variables[f"{service.upper()}_URL"]), f"{service} to be ready")

    assert {(page.status_code, "Retry-After" in page.headers) for page in pages} == {(503, True)}
    assert all("text/html" in page.headers["Content-Type"] for page in pages)
    assert console.get("/").status_code == 200
