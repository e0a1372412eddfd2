"""A tariff that says nonsense is refused with the field that says it; one of today's site files goes on to work."""

import msgspec
import pytest

from hearth_core.config import parse_yaml
from hearth_core.errors import ConfigError
from hearth_core.tariff import ExportKind, Tariff
from hearth_core.windows import Window

TIME_OF_USE = """
import_kind: time_of_use
import_eur_per_kwh: 0.30
import_windows:
  - {name: night, hours: ["22:00-06:00"], eur_per_kwh: 0.20}
"""


def test_the_four_fields_of_older_site_files_are_read_and_sent_as_ever() -> None:
    text = b'{"import_adder_eur_per_kwh":0.16,"vat_percent":19.0,"export_kind":"spot","export_eur_per_kwh":-0.01}'
    tariff = msgspec.json.decode(text, type=Tariff)
    assert (tariff.vat_percent, tariff.export_kind) == (19, ExportKind.SPOT)
    # a hub that knows no more than these understands it
    assert msgspec.json.decode(msgspec.json.encode(tariff)) == msgspec.json.decode(text)


def test_every_field_survives_the_wire() -> None:
    tariff = parse_yaml(
        TIME_OF_USE
        + """
fees: [{name: Grid, windows: [{days: [weekdays], eur_per_kwh: 0.1}, {days: [weekends], eur_per_kwh: 0.05}]}]
tiers: [{up_to_kwh: 100, eur_per_kwh: 0}, {up_to_kwh: 200, eur_per_kwh: 0.01}, {eur_per_kwh: 0.02}]
net_metering: {period: year, first_month: 4}
demand: [{eur_per_kw: 4, step_min: 60, windows: [{days: [mon, fri], quarters: [1, 4]}], free_kw: 2}]
standing: [{eur_per_month: 10}, {name: Meter, eur_per_day: 0.05}]
""",
        "t.yaml",
        Tariff,
    )
    assert msgspec.json.decode(msgspec.json.encode(tariff), type=Tariff) == tariff


@pytest.mark.parametrize(
    ("text", "field", "remedy"),
    [
        ("import_addr_eur_per_kwh: 0.1", "import_addr_eur_per_kwh", "Did you mean 'import_adder_eur_per_kwh'"),
        ("fees: [{name: a, eur_per_kwh: 0.1, windws: []}]", "fees[0].windws", "Did you mean 'windows'"),
        ("import_adder_eur_per_kwh: 16", "import_adder_eur_per_kwh", "<= 2"),
        ("import_adder_eur_per_kwh: .nan", "import_adder_eur_per_kwh", ">= -1"),
        ("import_kind: flat", "import_kind", "flat"),
        ("import_kind: fixed", "import_eur_per_kwh", "must be given"),
        ("import_eur_per_kwh: 0.3", "import_eur_per_kwh", "import_adder_eur_per_kwh"),
        ("{import_kind: fixed, import_eur_per_kwh: 0.3, import_factor: 1.1}", "import_factor", "day_ahead"),
        ("{import_kind: time_of_use, import_eur_per_kwh: 0.3}", "import_windows", "must be given"),
        ("export_share: 0.9", "export_share", "only for export_kind spot"),
        ("export_windows: [{eur_per_kwh: 0.1}]", "export_windows", "only then"),
        (TIME_OF_USE.replace("06:00", "25:00"), "import_windows[0].hours[0]", "at most 24:00"),
        (TIME_OF_USE.replace("06:00", "06:60"), "import_windows[0].hours[0]", "no span"),
        (TIME_OF_USE.replace("06:00", "22:00"), "import_windows[0].hours[0]", "no span"),
        (TIME_OF_USE.replace("22:00-06:00", "night"), "import_windows[0].hours[0]", "no span"),
        (TIME_OF_USE.replace('["22:00-06:00"]', '["22:00-06:00", "05:00-07:00"]'), "import_windows[0].hours", "once"),
        (TIME_OF_USE.replace("name: night", "months: [13]"), "import_windows[0].months[0]", "<= 12"),
        (TIME_OF_USE.replace("name: night", "months: [1], quarters: [1]"), "import_windows[0].quarters", "months"),
        (TIME_OF_USE.replace("name: night", "days: [monday]"), "import_windows[0].days[0]", "monday"),
        (TIME_OF_USE.replace("import_eur_per_kwh: 0.30", ""), "import_eur_per_kwh", "do not cover"),
        (
            TIME_OF_USE + "  - {days: [sat], hours: ['05:30-05:45'], months: [7], eur_per_kwh: 0.1}",
            "import_windows[1]",
            "overlaps import_windows[0]",
        ),
        ("fees: [{name: Grid, windows: [{eur_per_kwh: 0.1, days: [mon]}]}]", "fees[0].eur_per_kwh", "do not cover"),
        ("tiers: [{up_to_kwh: -5, eur_per_kwh: 0.1}, {eur_per_kwh: 0.2}]", "tiers[0].up_to_kwh", "> 0"),
        ("tiers: [{up_to_kwh: 100, eur_per_kwh: 0.1}]", "tiers[0].up_to_kwh", "gap above 100"),
        ("tiers: [{eur_per_kwh: 0.1}, {eur_per_kwh: 0.2}]", "tiers[0].up_to_kwh", "only the last"),
        (
            "tiers: [{up_to_kwh: 9, eur_per_kwh: 0}, {up_to_kwh: 9, eur_per_kwh: 0}, {eur_per_kwh: 0}]",
            "tiers[1].up_to_kwh",
            "rise",
        ),
        ("demand: [{eur_per_kw: 3, step_min: 10}]", "demand[0].step_min", "10"),
        ("demand: [{eur_per_kw: 3, windows: [{}, {days: [sun]}]}]", "demand[0].windows[1]", "overlaps"),
        ("net_metering: {period: week}", "net_metering.period", "week"),
        ("standing: [{name: Meter}]", "standing[0].eur_per_day", "eur_per_month"),
        ("standing: [{eur_per_day: 1, eur_per_month: 30}]", "standing[0].eur_per_day", "either"),
    ],
)
def test_nonsense_is_refused_with_its_field_and_a_remedy(text: str, field: str, remedy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "tariff.yaml", Tariff)
    assert (caught.value.source, caught.value.field) == ("tariff.yaml", field)
    assert remedy in caught.value.remedy


def test_a_window_may_pass_midnight_and_name_quarters_and_day_groups() -> None:
    window = Window(hours=("22:00-06:00", "12:00-13:30"), quarters=(1, 4))
    assert sorted(window.spans_min) == [(0, 360), (720, 810), (1320, 1440)]
    assert window.calendar_months == {1, 2, 3, 10, 11, 12}
    assert window.weekdays == set(range(7))
    assert Window(hours=("23:00-00:00",)).spans_min == [(1380, 1440)]
    weekend = msgspec.convert({"days": ["weekends", "mon"]}, Window)
    assert weekend.weekdays == {0, 5, 6}
