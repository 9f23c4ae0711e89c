"""Column titles are recognised however a program or a person writes them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.domain.titles import COLUMN_TITLES, TitleLength, title_key, title_keys

KEYS = title_keys(COLUMN_TITLES)
LENGTH = TitleLength(KEYS)
OUTER = st.sampled_from(["", " ", '"', "'", "\u201c", "»", "\u00a0", "_", "-"])


@pytest.mark.parametrize(
    "text",
    [
        "code", "CODES", "Coupon", "coupon_code", "Couponcode", "Coupon Codes", "VOUCHER-CODE", "voucher codes",
        "Promo code", "promotion_code", "Gift Code", "discountCode", "serial", "Serial Number", "key", "Value",
        "Código", "codigo", "codice", "kod", "kód", "Gutscheincode", "code promo", "код", "ПРОМОКОД", "κωδικός",
        "ΚΩΔΙΚΟΣ", "indirim kodu", "İNDİRİM KODU", "コード", "代码", "代碼", "优惠码", "코드", "쿠폰 번호",
        "कोड", "קוד", "كود",
        "รหัส", "mã giảm giá", "kode voucher", "\uff23ode",
    ],
)  # fmt: skip
def test_is_a_title(text: str) -> None:
    assert title_key(text) in KEYS
    for written in (text, unicodedata.normalize("NFD", text), f' "{" _-" * 30}{text}" '):
        assert LENGTH.fits(written)


@pytest.mark.parametrize(
    "text", ["code:", '"Code":', "'code'", "«код»", "代码\uff1a", " voucher_-code ", "\u201ccode:\u201d"]
)
def test_quotes_separators_and_a_colon_do_not_matter(text: str) -> None:
    assert title_key(text) in KEYS


@pytest.mark.parametrize(
    "text", ["", ":", "CODES2024", "CODE1", "decode", "PM500FF", "co:de", "code::", "code.", "keyword"]
)
def test_is_no_title(text: str) -> None:
    assert title_key(text) not in KEYS


@given(
    title=st.sampled_from(sorted(COLUMN_TITLES)), before=OUTER, after=OUTER, colon=st.sampled_from(["", ":"])
)
def test_every_title_is_known_in_any_spelling(title: str, before: str, after: str, colon: str) -> None:
    for spelled in (title, title.upper(), title.title(), title.replace(" ", "_"), title.replace(" ", "-")):
        assert title_key(f"{before}{spelled}{colon}{after}") in KEYS


def test_a_host_adds_titles_of_its_own() -> None:
    keys = title_keys(COLUMN_TITLES | {"Los-Nr."})

    assert title_key("los_nr.") in keys
    assert keys > KEYS


@pytest.mark.parametrize(
    "text", ["x" * 99, "\ufdfa" * 20, "\ufdfa" * 99, "\u3300" * 9, "a" + "\u0301\u0323" * 40]
)
def test_a_row_that_is_too_long_for_a_title_is_not_normalised(text: str) -> None:
    assert not LENGTH.fits(text)


def test_every_character_that_becomes_four_or_more_counts_as_long() -> None:
    characters = (chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    wide = [each for each in characters if len(unicodedata.normalize("NFKC", each.casefold())) >= 4]
    assert len(wide) > 50
    assert not any(LENGTH.fits(each * 9) for each in wide)
