"""DESK-8: the desk finds an application by what people know of it."""

import uuid

import pytest

from tests.support.builders import a_performance_product, a_product


@pytest.fixture
async def staff(issuer):
    return await issuer.person("toto")


@pytest.fixture
def find(issuer, staff):
    async def found(q, person=staff, **query):
        answer = await issuer.http.get("/api/desk/search", params={"q": q, **query}, headers=person.headers)
        assert answer.status_code == 200, answer.text
        return [item["application_id"] for item in answer.json()["items"]]

    return found


def at(n):
    """Ids ascend with time."""
    return uuid.UUID(int=(0x01A1AE6C << 96) + n)


@pytest.mark.parametrize(
    "typed",
    [
        "髙﨑建設",
        "高崎建設",
        "髙崎",
        "株式会社 高崎",
        "第２号橋",
        "第2号橋",
        "ＭＩＨＯＮ",
        "mihon",
        "Mihon橋",
        "ﾐﾎﾝ",
        "吉田・濱",
        "𠮷田・浜",
    ],
)
async def test_a_part_of_a_name_is_found_however_it_is_typed(typed, take, waiting, find):
    event = waiting(works__name="第2号橋　ＭＩＨＯＮ橋　ミホン", works__jv_name="𠮷田・濱特定建設工事共同企業体")
    other = waiting(works__name="別の工事", contractor__name="日光建設")
    await take(event, other)

    assert await find(typed) == [str(event.application_id)]


@pytest.mark.parametrize("typed", ["%", "_", "\\", "第%号", "'", "設別"])
async def test_nothing_typed_means_more_than_itself(typed, take, waiting, find):
    await take(waiting(works__name="別の工事"))

    assert await find(typed) == []


async def test_a_number_is_found_whole_or_by_its_beginning_in_full_width_too(issuer, take, waiting, find):
    event, other = waiting(products=(a_performance_product(), a_product())), waiting()
    await take(event, other)
    numbers = await issuer.pool.fetch("SELECT contract_number FROM guarantee ORDER BY 1")
    number = numbers[1]["contract_number"]
    wide = number.translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)})

    for typed in (number, wide, number.replace("-", ""), f" {number.lower()} ", number[:11], number[:5]):
        assert await find(typed) == [str(event.application_id)], typed
    assert await find(number[:6] + "99999") == []


async def test_an_application_is_found_by_its_id(take, waiting, find):
    event = waiting(at(1))
    await take(event, waiting())

    for typed in (str(at(1)), at(1).hex.upper(), str(at(1))[:13]):
        assert await find(typed) == [str(at(1))]


async def test_everything_is_found_newest_first_page_by_page(issuer, take, waiting, staff):
    await take(*(waiting(at(n)) for n in (3, 1, 5, 2, 4)))
    seen, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await issuer.http.get("/api/desk/search", params=query, headers=staff.headers)).json()
        seen += [item["application_id"] for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break

    assert seen == [str(at(n)) for n in (5, 4, 3, 2, 1)]


async def test_a_search_can_be_narrowed_to_a_state(issuer, take, waiting, find, staff):
    waits, decided = waiting(at(1)), waiting(at(2), products=(a_product(),))
    await take(waits, decided)

    assert await find("", status="queued") == [str(at(1))]
    assert await find("", status="decided") == [str(at(2))]
    assert await find("高崎", status="withdrawn") == []
    (item,) = (await issuer.http.get("/api/desk/search", params={"status": "decided"}, headers=staff.headers)).json()[
        "items"
    ]
    assert (len(item["contract_numbers"]), item["decider"], item["contractor_name"]) == (1, None, "株式会社髙﨑建設")


@pytest.mark.parametrize("query", [{"status": "lost"}, {"cursor": "x"}, {"limit": 0}, {"q": "x" * 201}])
async def test_what_cannot_be_asked_is_refused(query, issuer, staff):
    assert (await issuer.http.get("/api/desk/search", params=query, headers=staff.headers)).status_code == 422


async def test_what_no_text_holds_finds_what_the_rest_finds(take, waiting, find):
    event = waiting()
    await take(event)

    assert await find("高崎\x00\x1f") == [str(event.application_id)]


async def test_another_suretys_applications_are_not_found(issuer, take, waiting, find):
    event = waiting(products=(a_product(),))
    await take(event)
    number = await issuer.pool.fetchval("SELECT contract_number FROM guarantee")
    other = await issuer.person("nankai")

    for typed in ("", "高崎", number, str(event.application_id)):
        assert await find(typed, person=other) == []
