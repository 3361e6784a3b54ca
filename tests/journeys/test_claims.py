"""A rush: three hundred users for a hundred coupons, first come first served in the order of the log."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.journeys.databases import Databases
from tests.journeys.foreign_client import ForeignClient, Record
from tests.journeys.shop import Person, Shelves, Shop
from tests.journeys.waiting import eventually

USERS, COUPONS, AT_ONCE = 300, 100, 12


def claim(person: Person, campaign: str) -> str:
    answer = person.request("POST", "coupon", f"/campaigns/{campaign}/claims")
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"].endswith(f"/claims/{answer.json()['id']}")
    return str(answer.json()["id"])


def test_the_first_hundred_of_the_log_get_the_hundred_coupons(
    shop: Shop, shelves: Shelves, databases: Databases, log: ForeignClient
):
    campaign = shelves.campaign(quantity=COUPONS, per_user_limit=1)
    people = [shop.visitor() for _ in range(USERS)]

    with ThreadPoolExecutor(AT_ONCE) as crowd:
        claims = list(crowd.map(lambda person: claim(person, campaign), people))
    eventually(lambda: undecided(databases, campaign) == 0, "every claim to be decided")

    in_log_order = first_occurrences(log.read("coupon.claims", campaign))
    granted = claims_with(databases, campaign, "GRANTED")
    # A claim that came when all were granted was refused at once, and is not in the log.
    refused_at_once = set(claims) - set(in_log_order)
    assert set(in_log_order) <= set(claims)
    assert granted == set(in_log_order[:COUPONS])
    assert claims_with(databases, campaign, "SOLD_OUT") == set(in_log_order[COUPONS:]) | refused_at_once
    count = "SELECT count(*), count(DISTINCT user_id) FROM coupon_app_coupon WHERE campaign_id = %s"
    assert databases.ask("coupon", count, [campaign]) == [(COUPONS, COUPONS)]
    by_claim = dict(zip(claims, people, strict=True))
    assert_told(by_claim, in_log_order[COUPONS - 1], "GRANTED")
    for refused in (*in_log_order[COUPONS : COUPONS + 1], *sorted(refused_at_once)[:1]):
        assert_told(by_claim, refused, "SOLD_OUT")
    late = shop.visitor()
    assert_told({(last := claim(late, campaign)): late}, last, "SOLD_OUT")
    assert last not in first_occurrences(log.read("coupon.claims", campaign))


def assert_told(people: dict[str, Person], claim_id: str, status: str) -> None:
    """Ask as the claim's owner, and look for the coupon."""
    shown = people[claim_id].call("GET", "coupon", f"/claims/{claim_id}")
    coupons = people[claim_id].call("GET", "coupon", "/coupons")["results"]
    assert shown["status"] == status
    assert [each["id"] for each in coupons] == ([shown["coupon_id"]] if status == "GRANTED" else [])


def undecided(databases: Databases, campaign: str) -> int:
    query = "SELECT count(*) FROM coupon_app_claim WHERE campaign_id = %s AND status = 'PENDING'"
    return int(databases.value("coupon", query, [campaign]))


def claims_with(databases: Databases, campaign: str, status: str) -> set[str]:
    query = "SELECT id::text FROM coupon_app_claim WHERE campaign_id = %s AND status = %s"
    return {claim_id for (claim_id,) in databases.ask("coupon", query, [campaign, status])}


def first_occurrences(records: list[Record]) -> list[str]:
    """Return the claims in the order of the log; a claim that the relay sent twice counts where it stands first."""
    assert len({record.partition for record in records}) == 1
    return list(dict.fromkeys(record.data["claim_id"] for record in records))


def test_a_user_gets_no_more_than_the_campaign_allows_and_can_order_with_it(
    newcomer: Person, shelves: Shelves, databases: Databases
):
    campaign = shelves.campaign(quantity=10, per_user_limit=1)

    first = claim(newcomer, campaign)
    eventually(lambda: undecided(databases, campaign) == 0, "the claim to be decided")
    second = claim(newcomer, campaign)

    shown = {each: newcomer.call("GET", "coupon", f"/claims/{each}") for each in (first, second)}
    assert sorted(each["status"] for each in shown.values()) == ["GRANTED", "LIMIT_REACHED"]
    [coupon] = [each["coupon_id"] for each in shown.values() if each["coupon_id"]]
    order = newcomer.place({shelves.product(1): 1}, coupon)
    assert newcomer.wait_ended(order, "CONFIRMED")["discount"] == "1000"
