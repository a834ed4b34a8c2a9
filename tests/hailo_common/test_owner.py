"""Parts of a cache: equal, one for each owner, never more than the whole."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailo_common.owner import IDLE_S, MOST_OWNERS, OwnedParts, Store

LIMIT = 840  # 1 to 8 divide it


def parts() -> OwnedParts[Store[int, int]]:
    """Parts of a store."""
    return OwnedParts(LIMIT, Store)


def test_one_owner_has_the_whole_and_two_have_halves() -> None:
    made = parts()
    made.of("a").put(1, 1, LIMIT)
    assert made.of("a").get(1) == 1
    assert made.of("b").limit == made.of("a").limit == LIMIT // 2
    assert made.of("a").get(1) is None, "it is over the half"


def test_what_others_hold_costs_nobody_anything() -> None:
    made = parts()
    made.of("a").put(1, 1, LIMIT // 2)
    for number in range(100):
        made.of("b").put(number, number, 10)
    assert made.of("a").get(1) == 1


def test_who_asked_nothing_for_long_gives_his_part_back(monkeypatch: pytest.MonkeyPatch) -> None:
    made = parts()
    made.of("a").put(1, 1, 10)
    gone = made.of("a")
    made.of("b")
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + IDLE_S + 1)
    assert made.of("b").limit == LIMIT
    assert (gone.held, made.of("a").get(1)) == (0, None)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 9), st.integers(0, 300)), max_size=80))
def test_all_parts_together_never_hold_more_than_the_whole(
    puts: list[tuple[int, int, int]],
) -> None:
    made = parts()
    seen: set[int] = set()
    stores = []
    for who, key, size in puts:
        part = made.of(str(who))
        stores += [part] * (id(part) not in seen)
        seen.add(id(part))
        part.put(key, size, size)
        assert sum(store.held for store in stores) <= LIMIT
        assert sum(store.limit > 0 for store in stores) <= MOST_OWNERS
    made.close()
    assert not any(store.held for store in stores)
