"""What people do with the forms: also twice, too late, and with the wrong file."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest

from partner_vouchers import PartnerVouchers
from partner_vouchers.domain.stock import PercentUsed
from partner_vouchers.page.visit import MAX_FORM
from tests.page.conftest import NOW, limits
from tests.support.host import FixedClock
from tests.support.page import Visitor, alerts
from tests.support.sinks import ScriptedSink

ASHA = "asha@example.com"
NEW = {
    "partner": "Puma",
    "tag": "Summer_Sale",
    "name": "Summer Sale",
    "description": "₹300 off",
    "expires_at": "2027-06-30T23:59",
}


def edited(vouchers: PartnerVouchers, **changes: str) -> dict[str, str]:
    found = vouchers.lists.get("1")
    fields = {
        "version": str(found.version),
        "name": found.name,
        "description": found.description,
        "expires_at": found.expires_at.strftime("%Y-%m-%dT%H:%M:%S"),
        "expiring_soon": ""
        if found.expiring_soon is None
        else f"{found.expiring_soon / timedelta(days=1):g}",
    }
    return fields | changes


def test_a_list_is_created_by_the_person_who_sent_the_form(
    visitor: Visitor, vouchers: PartnerVouchers
) -> None:
    warnings = {"low_stock": "20", "low_stock_unit": "percent", "expiring_soon": "7"}
    page = visitor.follow(visitor.post("/lists/new", NEW | warnings))

    found = vouchers.lists.get("2")
    assert "The list was created." in page
    assert (found.tag, found.name, found.expires_at.isoformat()) == (
        "summer_sale",
        "Summer Sale",
        "2027-06-30T23:59:00+00:00",
    )
    assert (found.low_stock_at, found.expiring_soon) == (PercentUsed(20), timedelta(days=7))
    assert vouchers.audit.entries(list_id="2").items[0].actor == ASHA


FAULTY = [
    *(
        ("/lists/new", NEW | changes, "₹300 off", says)
        for changes, says in (
            ({"tag": ""}, "must not be empty"),
            ({"tag": "two words"}, "white space"),
            ({"tag": "winter"}, "List 1 of this partner has this tag"),
            ({"partner": ""}, "partner"),
            ({"partner": "Nobody"}, "Choose a partner"),
            ({"name": "n" * 256}, "255"),
            ({"expires_at": ""}, "choose until when"),
            ({"expires_at": "soon"}, "is not a date and time"),
            ({"expires_at": "2020-01-01T00:00"}, "not in the future"),
            ({"expires_at": "9999-12-31T23:59-14:00"}, "9999"),
            ({"low_stock": "many"}, "whole number"),
            ({"low_stock": "200", "low_stock_unit": "percent"}, "100"),
            ({"expiring_soon": "a week"}, "whole number of days"),
            ({"expiring_soon": "0"}, "more than zero"),
            ({"new_partner": "Nike", "tag": "two words"}, "white space"),
            ({"new_partner": "Nike", "expires_at": "2020-01-01T00:00"}, "not in the future"),
        )
    ),
    *(
        ("/lists/1/campaigns", {"campaign_id": "CMP2", "priority": "77"} | changes, kept, says)
        for changes, kept, says in (
            ({"campaign_id": ""}, 'value="77"', "campaign"),
            ({"repeat": "sometimes"}, 'value="77"', "choose one of the list"),
            ({"priority": "high"}, 'value="high"', "whole number"),
            ({"eligibility": "unheard-of"}, 'value="77"', "no rule with this name"),
        )
    ),
    *(
        ("/campaign/limits", limits(*filled, "5/campaign//UTC"), 'value="5"', says)
        for filled, says in (
            (["many/user//UTC"], "whole number"),
            (["0/user//UTC"], "from 1 to"),
            (["99999999999/user//UTC"], "whole number"),
            (["1/nobody//UTC"], "must be one of"),
            (["1/user/year/UTC"], "must be one of"),
            (["1/user/day/Nowhere"], "time zone"),
            (["1/user/day/"], "zone"),
            (["1/user//UTC", "2/user//UTC"], "two limits for the same"),
        )
    ),
]


def test_the_fault_of_a_new_partner_is_shown_where_it_was_typed(visitor: Visitor) -> None:
    answer = visitor.post("/lists/new", NEW | {"new_partner": "n" * 256})
    assert '<p class="fault" id="fault-new_partner">must have at most 255' in answer.text


@pytest.mark.parametrize("path, fields, kept, says", FAULTY)
def test_a_form_with_a_fault_changes_nothing_and_comes_back_as_it_was_filled_in(
    visitor: Visitor, vouchers: PartnerVouchers, path: str, fields: dict[str, str], kept: str, says: str
) -> None:
    before = vouchers.audit.entries().items

    answer = visitor.post(path, fields)

    assert answer.status_code in {409, 422}
    faults = re.findall(r'id="fault-[^>]*>(.*?)</p>', answer.text, re.DOTALL)
    assert says in html.unescape(" ".join([*faults, *alerts(answer.text)]))
    assert kept in answer.text
    assert alerts(answer.text)
    assert vouchers.audit.entries().items == before


def test_what_is_changed_is_saved_and_nothing_else(visitor: Visitor, vouchers: PartnerVouchers) -> None:
    before = vouchers.lists.get("1")
    assert "Nothing was changed." in visitor.follow(visitor.post("/lists/1/edit", edited(vouchers)))
    assert vouchers.lists.get("1") == before

    renamed = edited(vouchers, name="Winter Sale II", low_stock="100")
    assert "The changes were saved." in visitor.follow(visitor.post("/lists/1/edit", renamed))
    after = vouchers.lists.get("1")
    assert (after.name, after.low_stock_at) == ("Winter Sale II", 100)


def test_a_warning_of_part_of_a_day_is_kept_until_it_is_changed(
    visitor: Visitor, vouchers: PartnerVouchers
) -> None:
    vouchers.lists.edit("1", expiring_soon=timedelta(hours=36))
    assert 'name="expiring_soon" type="text" value="1.5"' in visitor.text("/lists/1")
    visitor.post("/lists/1/edit", edited(vouchers, name="Winter Sale II"))
    renamed = vouchers.lists.get("1")
    assert (renamed.name, renamed.expiring_soon) == ("Winter Sale II", timedelta(hours=36))
    visitor.post("/lists/1/edit", edited(vouchers, expiring_soon="3"))
    assert vouchers.lists.get("1").expiring_soon == timedelta(days=3)
    assert "1.5 days → 3 days" in visitor.text("/lists/1/audit")
    visitor.post("/lists/1/edit", edited(vouchers, expiring_soon=""))
    assert vouchers.lists.get("1").expiring_soon is None


def test_the_second_of_two_people_sees_that_the_list_changed(
    visitor: Visitor, vouchers: PartnerVouchers
) -> None:
    opened = edited(vouchers, description="mine")
    vouchers.lists.edit("1", name="Theirs")

    answer = visitor.post("/lists/1/edit", opened)

    assert answer.status_code == 409
    assert "Another person changed this list" in answer.text
    assert "List name is now: Theirs" in answer.text
    assert ">mine</textarea>" in answer.text
    assert vouchers.lists.get("1").description == "₹500 off"

    again = opened | {"version": str(vouchers.lists.get("1").version)}
    visitor.follow(visitor.post("/lists/1/edit", again))
    assert vouchers.lists.get("1").description == "mine"


@pytest.mark.parametrize("version", ["", "0", "x", "-1", "99999999999999999999"])
def test_a_form_without_its_version_overwrites_nothing(
    visitor: Visitor, vouchers: PartnerVouchers, version: str
) -> None:
    answer = visitor.post("/lists/1/edit", edited(vouchers, name="other") | {"version": version})

    assert answer.status_code in {409, 422}
    assert vouchers.lists.get("1").name == "Winter Sale"


def test_an_expired_list_can_be_renamed_and_then_extended(
    visitor: Visitor, vouchers: PartnerVouchers, clock: FixedClock
) -> None:
    clock.now = NOW + timedelta(days=100)
    assert "Extend its expiry" in visitor.text("/lists/1/uploads")

    visitor.follow(visitor.post("/lists/1/edit", edited(vouchers, name="Old")))
    assert vouchers.lists.get("1").status == "Expired"

    visitor.follow(visitor.post("/lists/1/edit", edited(vouchers, expires_at="2027-12-31T23:59:59")))
    assert vouchers.lists.get("1").status == "Active"


def test_a_double_click_is_one_click(visitor: Visitor, vouchers: PartnerVouchers) -> None:
    for path in (
        "/lists/1/campaigns/unlink",
        "/lists/1/do/pause",
        "/lists/1/do/activate",
        "/lists/1/do/archive",
    ):
        first, second = (visitor.post(path, {"campaign_id": "CMP1"}) for _ in range(2))
        assert first.headers["location"] == second.headers["location"]
    visitor.post("/lists/new", NEW)
    assert "List 2 of this partner has this tag" in visitor.post("/lists/new", NEW).text

    assert vouchers.campaigns.of_list("1") == []
    assert vouchers.lists.get("1").status == "Archived"
    assert len(vouchers.lists.find().items) == 2


def test_what_a_status_does_not_allow_is_refused_in_words(
    visitor: Visitor, vouchers: PartnerVouchers
) -> None:
    visitor.post("/lists/1/do/archive")

    refused = [
        visitor.post("/lists/1/do/pause"),
        visitor.post("/lists/1/edit", edited(vouchers, name="other")),
        visitor.upload("/lists/1/uploads", b"A-1\n"),
    ]

    for answer in refused:
        assert answer.status_code == 409
        assert "The list is Archived" in answer.text


def test_what_cannot_be_undone_is_asked_first(visitor: Visitor) -> None:
    page = visitor.text("/lists/1/confirm/archive")

    assert "permanent" in page
    assert "CMP1" in page
    assert visitor.get("/lists/1/confirm/pause").status_code == 404
    assert visitor.post("/lists/1/do/explode").status_code == 404


def test_only_a_list_that_gave_nothing_out_is_deleted(visitor: Visitor, vouchers: PartnerVouchers) -> None:
    visitor.post("/lists/new", NEW)

    assert visitor.post("/lists/1/do/delete").status_code == 409
    assert visitor.post("/lists/2/do/delete").headers["location"] == "/?done=deleted"
    assert [found.id for found in vouchers.lists.find().items] == ["1"]


def test_a_file_with_faults_is_shown_row_by_row_and_can_be_corrected(
    visitor: Visitor, vouchers: PartnerVouchers
) -> None:
    page = visitor.follow(visitor.upload("/lists/1/uploads", b"code\nNEW-1\nnot good\nNEW-1\n"))
    errors = visitor.post("/uploads/2/errors").content

    assert "2 errors" in page
    assert vouchers.uploads.get("2").uploaded_by == ASHA
    visitor.follow(visitor.upload("/lists/1/uploads", errors.replace(b"not good", b"GOOD-1"), "errors.csv"))
    assert vouchers.uploads.get("3").accepted == 1


@pytest.mark.parametrize(
    "content, filename, says",
    [
        (b"", "codes.csv", "no codes"),
        (b"A-1\n", "codes.xlsx", ".csv"),
        (b"A-1,B-1\n", "codes.csv", "column"),
        (b"caf\xe9-1\n", "codes.csv", "UTF-8"),
        (b'A-1\n"B-1\n', "codes.csv", "Line 2: a quote"),
    ],
)
def test_a_file_that_is_refused_says_why(
    visitor: Visitor, vouchers: PartnerVouchers, content: bytes, filename: str, says: str
) -> None:
    page = visitor.follow(visitor.upload("/lists/1/uploads", content, filename))

    assert "No code of this file was stored." in page
    assert says in page
    assert says in visitor.get("/lists/1/uploads").text
    assert 'role="status"' not in page, "it is no success"
    assert vouchers.uploads.get("2").status == "Failed"


def test_a_form_without_a_file_asks_for_one(visitor: Visitor) -> None:
    for answer in (visitor.post("/lists/1/uploads"), visitor.upload("/lists/1/uploads", b"", filename="")):
        assert answer.status_code in {400, 422}

    assert "Choose a file" in visitor.post("/lists/1/uploads").text


def test_the_same_file_again_asks_whether_it_is_meant(visitor: Visitor, vouchers: PartnerVouchers) -> None:
    visitor.upload("/lists/1/uploads", b"A-1\n")

    refused = visitor.upload("/lists/1/uploads", b"A-1\n")
    assert refused.status_code == 409
    assert "Upload this file again" in refused.text
    assert "force=True" not in refused.text

    visitor.follow(visitor.upload("/lists/1/uploads", b"A-1\n", force="yes"))
    assert len(vouchers.uploads.find(list_id="1").items) == 3


def test_a_huge_file_is_refused_before_it_is_read(visitor: Visitor, vouchers: PartnerVouchers) -> None:
    answer = visitor.client.post(
        "/lists/1/uploads",
        content=b"",
        headers={"content-type": "multipart/form-data; boundary=x", "content-length": str(MAX_FORM + 1)},
    )

    assert answer.status_code == 413
    assert "at most 50 MB" in answer.text
    assert len(vouchers.uploads.find(list_id="1").items) == 1


def test_a_huge_file_of_unknown_length_is_refused_while_it_is_read(visitor: Visitor) -> None:
    sent = 0

    def body() -> object:
        nonlocal sent
        head = b'--x\r\ncontent-disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
        yield head
        while sent < 2 * MAX_FORM:
            sent += 1024**2
            yield b"A" * 1024**2

    answer = visitor.client.post(
        "/lists/1/uploads",
        content=body(),  # type: ignore[arg-type]
        headers={"content-type": "multipart/form-data; boundary=x"},
    )

    assert answer.status_code == 413


@pytest.mark.parametrize(
    "content",
    [
        b"no multipart",
        b'--x\r\ncontent-disposition: form-data; name="csrf_token"\r\n\r\n' + b"A" * 2 * 1024**2,
        b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n' * 200,
    ],
)
def test_a_form_that_cannot_be_read_changes_nothing(
    visitor: Visitor, vouchers: PartnerVouchers, content: bytes
) -> None:
    answer = visitor.client.post(
        "/lists/1/do/pause", content=content, headers={"content-type": "multipart/form-data; boundary=x"}
    )

    assert answer.status_code in {400, 403}
    assert vouchers.lists.get("1").status == "Active"


def test_an_upload_is_withdrawn(visitor: Visitor, vouchers: PartnerVouchers) -> None:
    for _ in range(2):
        visitor.post("/uploads/1/withdraw")

    assert vouchers.lists.get("1").withdrawn == 2


def test_a_campaign_is_linked_and_its_link_changed(visitor: Visitor, vouchers: PartnerVouchers) -> None:
    for priority in ("1", "7"):
        visitor.follow(
            visitor.post(
                "/lists/1/campaigns", {"campaign_id": "CMP2", "priority": priority, "repeat": "new code"}
            )
        )

    (_, link) = vouchers.campaigns.of_list("1")
    assert (link.campaign_id, link.priority, link.repeat) == ("CMP2", 7, "new code")
    assert "CMP2" in visitor.text("/campaign")
    assert "Winter Sale" in visitor.text("/campaign?id=CMP2")


def test_a_code_is_taken_back_once(visitor: Visitor, vouchers: PartnerVouchers) -> None:
    (given,) = vouchers.codes.of_user("user-1")

    for _ in range(2):
        page = visitor.follow(visitor.post(f"/assignments/{given.id}/revoke", {"reason": "order cancelled"}))
        assert "The code was revoked." in page
        assert 'revoked <time datetime="2026-11-28' in page

    assert vouchers.codes.of_user("user-1") == []
    assert vouchers.lists.get("1").retired == 1


def test_a_code_that_the_user_may_know_returns_only_after_a_question(
    visitor: Visitor, vouchers: PartnerVouchers
) -> None:
    vouchers.events.deliver(ScriptedSink())
    (given,) = vouchers.codes.of_user("user-1")

    asked = visitor.post(f"/assignments/{given.id}/revoke", {"restock": "yes", "reason": "<b>wrong</b>"})
    assert asked.status_code == 409
    assert "The user may know this code already" in asked.text
    assert "force=True" not in asked.text
    assert 'value="&lt;b&gt;wrong' in asked.text
    assert vouchers.codes.of_user("user-1") == [given]

    visitor.follow(visitor.post(f"/assignments/{given.id}/revoke", {"restock": "anyway"}))
    assert vouchers.lists.get("1").available == 3


def test_the_report_of_a_partners_file_shows_no_whole_code(
    visitor: Visitor, vouchers: PartnerVouchers
) -> None:
    rows = b"code,order_id\nPM500-SECRET-AA,991\nPM500-SECRET-BB,992\nNOBODYS-CODE,993\n"

    page = visitor.follow(visitor.upload("/reconcile", rows, "used.csv", partner="Puma"))
    again = visitor.follow(visitor.upload("/reconcile", rows, "used.csv", partner="Puma"))

    for kind in ("recorded", "never distributed", "unknown code"):
        assert kind in page
    assert "known already" in again
    assert "PM500-SECRET" not in page + again
    assert "redeemed" in visitor.text("/user?user=user-1")


@pytest.mark.parametrize(
    "content, partner, says",
    [
        (b"order\n991\n", "Puma", "code"),
        (b"", "Puma", "refused"),
        (b"code\nA-1\n", "Nobody", "Choose a partner"),
    ],
)
def test_a_partners_file_that_is_refused_says_why(
    visitor: Visitor, content: bytes, partner: str, says: str
) -> None:
    answer = visitor.upload("/reconcile", content, "used.csv", partner=partner)

    assert answer.status_code in {409, 422}
    assert says in alerts(answer.text)[0]
    assert visitor.get("/reconcile/9").status_code == 404
    assert "Choose a file" in visitor.post("/reconcile", {"partner": "Puma"}).text


def test_a_sink_that_is_not_known_is_answered_in_words(visitor: Visitor) -> None:
    assert visitor.post("/delivery/retry", {"sink": "nowhere"}).status_code == 409


@pytest.mark.parametrize(
    "source, says",
    [
        ("Hi {{ Profile.name }}, {{ Event.voucherCode }}", "Hi Ravi, SAMPLE-CODE"),
        ("{{ Event.voucherCod }}", "? Write <code>Event.voucherCode</code>."),
        ("{% if true %}{% else if true %}{% endif %}", "use `elsif`. Write <code>{% elsif true %}</code>."),
        ("{% abort %}", "The template skips this message"),
        ("{% if %}", "What to correct"),
        ("{% for a in (1..100000000) %}x{% endfor %}", "alert"),
        ("{{ Event.", "What to correct"),
    ],
)
def test_a_template_can_be_tried(visitor: Visitor, source: str, says: str) -> None:
    answer = visitor.post("/template", {"source": source, "name": "Ravi"})

    assert answer.status_code == 200
    assert says in answer.text
