"""The scenes of the demo. Each places orders of one kind and shows their results."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import psycopg2

from stack import control
from stack.demo.client import Person, wait_until
from stack.demo.shop import Shop
from stack.progress import show

Scene = Callable[[Shop], None]

MEASURED_ORDERS = 9
WARM_UP_ORDERS = 3
POLL_SECONDS = 0.004
LOCK_SECONDS = 7.0  # the batch and the first attempt fail by lock_timeout (3 s), the second attempt succeeds


def confirmed_one_at_a_time(shop: Shop) -> None:
    """Orders on the idle stack, one after another, with the time from the 202 to CONFIRMED."""
    buyer, mug = shop.customer("minji"), shop.product("Mug", "12000", 100)
    took = []
    for number in range(WARM_UP_ORDERS + MEASURED_ORDERS):
        placed = shop.place("confirmed", buyer, {mug: 1})
        begin = time.perf_counter()
        wait_until(lambda: buyer.order(placed.id)["status"] != "PENDING", "CONFIRMED", interval=POLL_SECONDS)  # noqa: B023
        milliseconds = (time.perf_counter() - begin) * 1000
        if number == 0:
            shop.follow(buyer, placed)
        if number >= WARM_UP_ORDERS:
            took.append(milliseconds)
        show(f"           CONFIRMED seen {milliseconds:.0f} ms after the 202{_warm_up(number)}")
    show(f"  Median from the 202 to CONFIRMED: {statistics.median(took):.0f} ms ({len(took)} orders, one at a time)")


def _warm_up(number: int) -> str:
    return " (warm-up, not counted)" if number < WARM_UP_ORDERS else ""


def confirmed_with_coupon(shop: Shop) -> None:
    """An order of two lines with a percent coupon, then an order with an amount coupon from a claim."""
    buyer, cup, plate = shop.customer("jisu"), shop.product("Cup", "8000", 20), shop.product("Plate", "15000", 20)
    percent = shop.grant(shop.campaign("Ten percent", kind="percent", value="10"), buyer)
    shop.follow(buyer, shop.place("confirmed, coupon", buyer, {cup: 2, plate: 1}, percent))
    amount = shop.campaign("3,000 won", kind="amount", value="3000", currency="KRW")
    shop.follow(buyer, shop.place("confirmed, claimed coupon", buyer, {cup: 1}, _claim(buyer, amount)))


def _claim(buyer: Person, campaign: str) -> str:
    claim = buyer.call("POST", "coupon", f"/campaigns/{campaign}/claims")
    read = f"/claims/{claim['id']}"
    wait_until(lambda: buyer.call("GET", "coupon", read)["status"] != "PENDING", "the claim's decision")
    decided = buyer.call("GET", "coupon", read)
    show(f"  claim {decided['id']} → {decided['status']}")
    return str(decided["coupon_id"])


def out_of_stock(shop: Shop) -> None:
    """More than the stock: the stock step fails, and the saga ends compensated."""
    buyer, lamp = shop.customer("hana"), shop.product("Lamp", "40000", 2)
    for quantity in (3, 5):
        shop.follow(buyer, shop.place("out of stock", buyer, {lamp: quantity}, ends="CANCELED"))


def bad_coupon(shop: Shop) -> None:
    """The stock step succeeds, the coupon step fails: the product service gives the stock back."""
    buyer, other = shop.customer("yuna"), shop.customer("doyun")
    chair = shop.product("Chair", "90000", 10)
    foreign = shop.grant(shop.campaign("Somebody else's", kind="percent", value="50"), other)
    dear = shop.campaign("From a million on", kind="amount", value="5000", currency="KRW", minimum_order="1000000")
    past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    old = shop.campaign("Over", kind="percent", value="20", valid_until=past)
    for coupon in (foreign, shop.grant(dear, buyer), shop.grant(old, buyer)):
        shop.follow(buyer, shop.place("bad coupon", buyer, {chair: 2}, coupon, ends="CANCELED"))
    show(f"  chairs in stock after three refusals: {shop.stock(chair)} of 10")


def product_service_down(shop: Shop) -> None:
    """Orders while product-worker is stopped: they wait, one is canceled, and all end after its start."""
    buyer, book = shop.customer("seojun"), shop.product("Book", "20000", 10)
    control.stop("product-worker")
    show("  product-worker is stopped")
    waiting = [shop.place("product service down", buyer, {book: 1}) for _ in range(3)]
    canceled = shop.place("canceled while pending", buyer, {book: 1}, ends="CANCELED")
    buyer.cancel(canceled.id)
    time.sleep(1.0)
    for placed in (*waiting, canceled):
        saga = buyer.saga(placed.id)
        show(f"   {placed.id}: {saga['status']}, waiting for {'; '.join(saga['waiting_for'])}")
    control.start("product-worker", wait=False)
    show("  product-worker is started")
    shop.follow(buyer, *waiting, canceled)


def lock_conflict(shop: Shop) -> None:
    """Another session locks the product's row for longer than lock_timeout: the attempt fails and is retried."""
    buyer, vase = shop.customer("eunji"), shop.product("Vase", "30000", 5)
    with _row_locked(shop, vase):
        placed = shop.place("lock conflict retried", buyer, {vase: 1})
        time.sleep(LOCK_SECONDS)
    show(f"  the row was locked for {LOCK_SECONDS:.0f} s")
    shop.follow(buyer, placed)
    steps = {step["name"]: step["attempts"] for step in buyer.saga(placed.id)["steps"]}
    show(f"  attempts at the stock step, reported by the product service: {steps['stock']}")


@contextmanager
def _row_locked(shop: Shop, product: str) -> Iterator[None]:
    with closing(psycopg2.connect(shop.books.url("product"))) as opened, opened.cursor() as cursor:
        cursor.execute("SELECT 1 FROM product_app_product WHERE id = %s FOR UPDATE", [product])
        yield
        opened.rollback()


def customer_cancels(shop: Shop) -> None:
    """The customer cancels confirmed orders, one with a coupon: the services give stock and coupon back."""
    buyer, desk = shop.customer("taeho"), shop.product("Desk", "120000", 5)
    coupon = shop.grant(shop.campaign("Five percent", kind="percent", value="5"), buyer)
    for used in (None, coupon):
        placed = shop.place("customer's cancel", buyer, {desk: 1}, used, ends="CANCELED")
        shop.follow(buyer, placed)
        buyer.cancel(placed.id)
        show("   the customer cancels")
        shop.follow(buyer, placed)
    show(f"  desks in stock: {shop.stock(desk)} of 5; the coupon is {_coupon_status(buyer, coupon)}")


def _coupon_status(buyer: Person, coupon: str) -> str:
    coupons = buyer.call("GET", "coupon", "/coupons")["results"]
    return next(str(each["status"]) for each in coupons if each["id"] == coupon)


def operator_compensates(shop: Shop) -> None:
    """An operator compensates a confirmed order, with a reason."""
    buyer, sofa = shop.customer("sumin"), shop.product("Sofa", "700000", 3)
    for reason in ("damaged in the warehouse", "wrong price"):
        placed = shop.place("operator's compensation", buyer, {sofa: 1}, ends="CANCELED")
        shop.follow(buyer, placed)
        shop.operator.cancel(placed.id, reason)
        show(f"   the operator compensates: {reason}")
        shop.follow(buyer, placed)


SCENES: tuple[Scene, ...] = (
    confirmed_one_at_a_time,
    confirmed_with_coupon,
    out_of_stock,
    bad_coupon,
    product_service_down,
    lock_conflict,
    customer_cancels,
    operator_compensates,
)
SCENES_WITHOUT_FAULTS = tuple(scene for scene in SCENES if scene not in (product_service_down, lock_conflict))
