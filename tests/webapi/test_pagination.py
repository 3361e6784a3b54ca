"""?page=&page_size=."""

from __future__ import annotations

import pytest
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from webapi.pagination import Pages


def cut(query):
    request = Request(APIRequestFactory().get(f"/things{query}"))
    pages = Pages()
    return pages.get_paginated_response(pages.paginate_queryset(list(range(500)), request)).data


@pytest.mark.parametrize(
    ("query", "size"),
    [("", 50), ("?page_size=3", 3), ("?page_size=200", 200), ("?page_size=100000", 200), ("?page_size=0", 50),
     ("?page_size=-1", 50), ("?page_size=x", 50)],
)  # fmt: skip
def test_a_page_has_the_size_asked_for_within_bounds(query, size):
    # When a page of some size is asked for
    body = cut(query)
    # Then it has that size, 200 at most, 50 when the wish can't be read
    assert len(body["results"]) == size
    assert body["count"] == 500


def test_pages_link_to_their_neighbours():
    # When a page in the middle is asked for
    body = cut("?page=2&page_size=10")
    # Then it holds what follows the first, and names both neighbours
    assert body["results"] == list(range(10, 20))
    assert "page=3" in body["next"]
    assert "page_size=10" in body["previous"]
