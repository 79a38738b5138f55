"""What a mapping may declare as a signal, and what it is told where it may not."""

from __future__ import annotations

import pytest

from transforms.common.errors import UserError
from transforms.formats.mapping import load_mapping
from transforms.signals.declared import Signal, joined, recorded
from transforms.signals.settings import SignalSettings

LOG = "columns: {listener_id: u, track_id: t, started_at: at}\n"


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("volume: {column: vol, kind: numbr, of: listen}", "did you mean number?"),
        ("volume: {column: vol, kind: number, of: listn}", "did you mean listen?"),
        ("volume: {column: vol, kind: number}", "signals.volume.of"),
        ("volume: {column: vol, kind: number, of: listen, unit: dB}", "signals.volume.unit"),
        ("Volume: {column: vol, kind: number, of: listen}", "is no name of a signal"),
        ("shuffle: {column: vol, kind: number, of: listen}", "is there without being declared"),
    ],
)
def test_a_bad_declaration_is_refused_by_name(declared: str, said: str) -> None:
    with pytest.raises(UserError, match="map.yaml") as refused:
        load_mapping(f"{LOG}signals:\n  {declared}\n", "map.yaml")
    assert said in str(refused.value)


def test_a_good_declaration_says_where_its_column_goes() -> None:
    mapping = load_mapping(f"{LOG}signals:\n  volume: {{column: vol, kind: number, of: listen}}\n", "map.yaml")
    assert mapping.of_log["signal_number_volume"] == "vol"
    with pytest.raises(UserError, match="'vol'"):  # the file lacks it
        mapping.present(["u", "t", "at"], "log.csv")


def test_one_name_cannot_mean_two_things() -> None:
    number, category = (Signal(column="v", kind=kind, of="listen") for kind in ("number", "category"))
    assert joined([recorded({"v": number}), recorded({"v": number})]) == {"v": number}
    with pytest.raises(UserError, match="declared as a number of a listen, and then as a category"):
        joined([recorded({"v": number}), recorded({"v": category})])


def test_settings_ignore_signals_and_refuse_a_column_that_is_none() -> None:
    volume = Signal(column="v", kind="number", of="listen")
    assert "volume" not in SignalSettings(ignored=("volume",)).signals({"volume": volume})
    assert list(SignalSettings(stored=()).signals({"volume": volume})) == ["volume"]
    with pytest.raises(ValueError, match="did you mean platform"):
        SignalSettings(stored=("platfrm",))
