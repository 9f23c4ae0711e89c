"""The filter `date` shows the same on every machine, whatever its time zone, its locale and its C library."""

import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import dateutil.tz
import pytest
import pytz
from hypothesis import given
from hypothesis import strategies as st

from partner_vouchers.errors import InvalidInput, MessageError
from partner_vouchers.messages import MessageTemplate
from tests.support.zones import LOCALTIME

UNTIL = "2027-03-31T18:30:00Z"
FULL = "%Y-%m-%d %H:%M:%S %z"


def show(value: object, pattern: str = FULL, zone: tzinfo = UTC) -> str | None:
    template = MessageTemplate(f"{{{{ Event.at | date: '{pattern}' }}}}", zone=zone)
    return template.render(event={"at": value})


MAKERS = pytest.mark.parametrize("make", [ZoneInfo, pytz.timezone, dateutil.tz.gettz])
SAME = (UNTIL, 1806517800, "1806517800", 1806517800.0, Decimal(1806517800), "2027-04-01T02:30:00+08:00")


@MAKERS
@pytest.mark.parametrize(
    "zone,until",
    [
        ("Asia/Kolkata", "2027-04-01 00:00:00 +0530"),
        ("America/New_York", "2027-03-31 14:30:00 -0400"),
        ("Pacific/Auckland", "2027-04-01 07:30:00 +1300"),
        ("America/St_Johns", "2027-03-31 16:00:00 -0230"),
        ("UTC", "2027-03-31 18:30:00 +0000"),
    ],
)
def test_an_instant_is_shown_in_the_zone_of_the_template(make: type[ZoneInfo], zone: str, until: str) -> None:
    for value in (*SAME, datetime(2027, 3, 31, 18, 30, tzinfo=UTC)):
        assert show(value, zone=make(zone)) == until
    assert show(UNTIL, "%s", make(zone)) == "1806517800"


@MAKERS
def test_both_hours_of_a_night_in_which_clocks_go_back(make: type[ZoneInfo]) -> None:
    zone = make("America/New_York")
    assert show("2027-11-07T05:30:00Z", zone=zone) == "2027-11-07 01:30:00 -0400"
    assert show("2027-11-07T06:30:00Z", zone=zone) == "2027-11-07 01:30:00 -0500"
    assert show("2027-11-07T06:30:00Z", "%s", zone) == "1825569000"
    assert show("2027-03-14T06:59:59Z", zone=zone) == "2027-03-14 01:59:59 -0500"
    assert show("2027-03-14T07:00:00Z", zone=zone) == "2027-03-14 03:00:00 -0400"


def test_a_datetime_of_the_host_is_the_instant_that_it_names() -> None:
    york = ZoneInfo("America/New_York")
    assert show(datetime(2027, 11, 7, 1, 30, tzinfo=york, fold=0)) == "2027-11-07 05:30:00 +0000"
    assert show(datetime(2027, 11, 7, 1, 30, tzinfo=york, fold=1)) == "2027-11-07 06:30:00 +0000"
    of_pytz = pytz.timezone("America/New_York")
    for is_dst, hour in ((True, 5), (False, 6)):
        at = of_pytz.localize(datetime(2027, 11, 7, 1, 30), is_dst=is_dst)  # noqa: DTZ001
        assert show(at) == f"2027-11-07 0{hour}:30:00 +0000"


def test_a_pytz_zone_that_was_not_localised_is_refused() -> None:
    for name in ("Asia/Kolkata", "America/New_York"):
        with pytest.raises(MessageError, match="`localize`"):
            show(datetime(2027, 1, 1, tzinfo=pytz.timezone(name)))
    assert show(datetime(2027, 1, 1, tzinfo=pytz.utc)) == "2027-01-01 00:00:00 +0000"
    # Arithmetic leaves the offset of the start: the instant is right all the same.
    july = pytz.timezone("America/New_York").localize(datetime(2027, 7, 1))  # noqa: DTZ001
    assert show(july + timedelta(180)) == "2027-12-28 04:00:00 +0000"


@pytest.mark.parametrize(
    "value,shown",
    [
        ("31-03-2027 23:59:59", "2027-03-31 23:59:59 "),
        ("2027-03-31", "2027-03-31 00:00:00 "),
        (" 2027-03-31 ", "2027-03-31 00:00:00 "),
        ("2027-03-31T10:00", "2027-03-31 10:00:00 "),
        (date(1990, 5, 17), "1990-05-17 00:00:00 "),
        (datetime(2027, 3, 31, 10), "2027-03-31 10:00:00 "),  # noqa: DTZ001
    ],
)
def test_what_has_no_zone_is_shown_as_it_is_written(value: object, shown: str) -> None:
    for zone in (UTC, ZoneInfo("Asia/Kolkata"), ZoneInfo("America/New_York")):
        assert show(value, zone=zone) == shown
        assert show("31-03-2027 23:59:59", "%s", zone) == "1806537599"


@pytest.mark.parametrize(
    "value,shown",
    [
        (0, "1970-01-01 00:00:00 +0000"),
        (-1, "1969-12-31 23:59:59 +0000"),
        ("-5", "1969-12-31 23:59:55 +0000"),
        (1708351200.75, "2024-02-19 14:00:00 +0000"),
        ("1708351200.75", "2024-02-19 14:00:00 +0000"),
        ("0001-01-01T00:00:00Z", "0001-01-01 00:00:00 +0000"),
        ("9999-12-31T23:59:59Z", "9999-12-31 23:59:59 +0000"),
    ],
)
def test_what_is_read(value: object, shown: str) -> None:
    assert show(value) == shown


def test_nil_missing_and_empty_values_stay_what_they_are() -> None:
    template = MessageTemplate("{{ Event.at | date: '%d' | default: 'open' }}")
    assert template.render(event={"at": None}) == "open"
    assert template.render(event={"at": ""}) == "open"
    assert template.render(event={}) == "open"
    assert show(None) == ""
    with pytest.raises(MessageError, match=r"Event\.at is missing"):
        MessageTemplate("{{ Event.at | date: '%d' }}").render(event={})
    assert MessageTemplate("{{ 5 | date: nil }}|{{ 5 | date: '' }}").render(event={}) == "5|5"


@pytest.mark.parametrize(
    "value",
    [
        "now", "today", "March 14, 2016", "31-02-2027 10:00:00", "1-3-2027 10:00:00",
        "\u0663\u0661-\u0660\u0663-2027 10:00:00", "\u0665", "1e9", "9" * 25, "PM500FF", True, [1], {"a": 1}, b"5",
        time.struct_time, float("nan"), float("inf"), 1e20, 10**30, Decimal("Infinity"), timedelta(1),
    ],
)  # fmt: skip
def test_what_is_no_date_is_an_error(value: object) -> None:
    with pytest.raises(MessageError) as caught:
        show(value)
    assert str(value) not in str(caught.value) or value in (True, "5")


def test_an_instant_that_the_zone_of_the_template_cannot_show() -> None:
    with pytest.raises(MessageError):
        show(datetime.max.replace(tzinfo=UTC), zone=ZoneInfo("Asia/Kolkata"))


AT = datetime(2027, 3, 5, 8, 4, 7, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    "pattern,shown",
    [
        ("%x %X %D %F %T %R %r", "03/05/27 08:04:07 03/05/27 2027-03-05 08:04:07 08:04 08:04:07 AM"),
        ("%v", " 5-MAR-2027"),
        ("%+", "Fri Mar  5 08:04:07 UTC 2027"),
        ("%p %P %^p %#p", "AM am AM am"),
        ("%d %-d %e %_d %03d %-e", "05 5  5  5 005 5"),
        ("%m %-m %j %-j", "03 3 064 64"),
        ("%Y %y %C %G %g %10Y", "2027 27 20 2027 27 0000002027"),
        ("%H %k %I %l %-I %M %S", "08  8 08  8 8 04 07"),
        ("%L %3N %6N %N %f %1N", "123 123 123456 123456000 123456 1"),
        ("%u %w %U %W %V", "5 5 09 09 09"),
        ("%z %:z %Z %s", "+0000 +00:00 UTC 1804233847"),
        ("%^a %^B %#b %10A", "FRI MARCH MAR     Friday"),
        ("am %d. März, यह", "am 05. März, यह"),
    ],
)
def test_directives(pattern: str, shown: str) -> None:
    assert show(AT, pattern) == shown


@pytest.mark.parametrize(
    "pattern",
    ["%", "%Q", "%-", "%5", "%E", "%Ey", "%Od", "%100Y", "%_", "%::z", "%:", "%é", "100 %", "% d", "%d" * 51],
)
def test_a_wrong_pattern_is_an_error_and_found_by_check(pattern: str) -> None:
    template = MessageTemplate(f"{{{{ Event.at | date: '{pattern}' }}}}")
    with pytest.raises(MessageError, match="the pattern of `date`"):
        template.render(event={"at": 0})
    (finding,) = template.check()
    assert "the pattern of `date`" in finding.message


# The C library's own, which is English and complete on Linux.
YEARS = (datetime(1000, 1, 1), datetime(9999, 12, 30))  # noqa: DTZ001
PORTABLE = [f"%{name}" for name in "aAbBcdDeFgGhHIjklmMnpPrRSstTuUVwWxXyYCzZ%"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the C library of Linux is the reference")
@given(st.datetimes(*YEARS, timezones=st.just(UTC)), st.sampled_from(PORTABLE))
def test_directives_are_those_of_the_c_library(at: datetime, pattern: str) -> None:
    if pattern == "%s":
        assert show(at, pattern) == str(int((at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)))
    else:
        assert show(at, pattern) == at.strftime(pattern)


SCRIPT = """
import locale, sys, time
from zoneinfo import ZoneInfo
from partner_vouchers.messages import MessageTemplate
from tests.support.zones import LOCALTIME
locale.setlocale(locale.LC_ALL, "")
source = "{{ Event.at | date: '%s|%c|%x|%X|%A %a %B %b %p' }} {{ 0 | date: '%F %T %s' }}"
template = MessageTemplate(source, zone=ZoneInfo("Asia/Tokyo"))
sys.stdout.write(template.render(event={"at": "2027-03-31T03:30:00Z"}))
sys.stdout.write(" " + time.strftime("%B %z", time.localtime(7e6)))
"""
EVERYWHERE = (
    "1806463800|Wed Mar 31 12:30:00 2027|03/31/27|12:30:00|Wednesday Wed March Mar PM 1970-01-01 09:00:00 0"
)


def run_in(environment: dict[str, str]) -> str:
    command = [sys.executable, "-X", "utf8", "-c", SCRIPT]
    return subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=True).stdout


def test_the_machines_zone_makes_no_difference() -> None:
    assert run_in({"TZ": "IST-5:30"}) == f"{EVERYWHERE} March +0530"


@pytest.mark.deep
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="builds a locale with localedef")
def test_the_machines_locale_makes_no_difference(tmp_path: Path) -> None:
    command = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(tmp_path / "de_DE.utf8")]
    try:
        subprocess.run(command, capture_output=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("localedef and its sources are not installed")
    environment = {"LC_ALL": "de_DE.utf8", "LOCPATH": str(tmp_path)}
    assert run_in(environment) == f"{EVERYWHERE} März +0000"


@pytest.mark.parametrize("zone", [None, "UTC", 5, UTC.utcoffset, ZoneInfo, timezone, LOCALTIME])
def test_what_is_no_time_zone(zone: object) -> None:
    with pytest.raises(InvalidInput, match="zone: "):
        MessageTemplate("Hi", zone=zone)  # type: ignore[arg-type]


def test_a_zone_that_fails_is_refused() -> None:
    class Broken(tzinfo):
        def utcoffset(self, at: datetime | None) -> timedelta | None:
            raise RuntimeError

        dst = utcoffset

        def tzname(self, at: datetime | None) -> str | None:
            return None

    with pytest.raises(InvalidInput, match="zone"):
        MessageTemplate("Hi", zone=Broken())


def test_a_pattern_that_is_a_value_is_escaped_in_html() -> None:
    template = MessageTemplate("{{ 0 | date: '<b>%d</b>' }}{{ 0 | date: Event.pattern }}", escape="html")
    assert template.render(event={"pattern": "<i>%d"}) == "<b>01</b>&lt;i&gt;01"
