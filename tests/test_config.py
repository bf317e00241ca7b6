"""Settings: precedence, origins, and errors that name the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragkit import config
from ragkit.config import Settings
from ragkit.errors import SettingsError


def test_later_origins_win_and_are_remembered(tmp_path: Path) -> None:
    file = tmp_path / "ragkit.toml"
    file.write_text("[retrieve]\nlimit = 3\ncandidates = 50\n[chunk]\nsize_tokens = 100\n")
    environ = {"RAGKIT_RETRIEVE_LIMIT": "4", "RAGKIT_RETRIEVE_CANDIDATES": "60"}
    loaded = config.load(file, environ, ["retrieve.limit=5"])
    assert loaded.settings.retrieve.limit == 5
    assert loaded.settings.retrieve.candidates == 60
    assert loaded.settings.chunk.size_tokens == 100
    assert loaded.origins == {
        "retrieve.limit": "command line",
        "retrieve.candidates": "RAGKIT_RETRIEVE_CANDIDATES",
        "chunk.size_tokens": str(file),
    }


def test_unknown_key_is_refused_by_its_full_path_with_the_nearest_name() -> None:
    with pytest.raises(SettingsError, match=r"retrieve\.limt .*did you mean retrieve\.limit"):
        config.load(environ={}, overrides=["retrieve.limt=5"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("retrieve.limit=many", "retrieve.limit must be a whole number"),
        ("retrieve.mode=magic", "retrieve.mode must be hybrid or dense or lexical"),
        ("offline=perhaps", "offline must be true or false"),
        ("retrieve.limit", "not of the form section.key=value"),
    ],
)
def test_wrong_value_is_refused(override: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        config.load(environ={}, overrides=[override])


@pytest.mark.parametrize(
    ("setting", "value", "allowed"),
    [
        ("context.diversity", 7, "a number from 0 to 1"),
        ("context.diversity", -3, "a number from 0 to 1"),
        ("retrieve.dense_weight", 1.01, "a number from 0 to 1"),
        ("verify.min_support", "nan", "a number from 0 to 1"),
        ("rerank.depth", -5, "a whole number from 0"),
        ("rerank.weight", 2, "a number from 0 to 1"),
        ("retrieve.candidates", 0, "a whole number from 1"),
        ("chunk.size_tokens", -1, "a whole number from 8"),
        ("ingest.workers", -2, "a whole number from -1"),
    ],
)
def test_a_value_out_of_range_is_refused_wherever_it_comes_from(
    tmp_path: Path, setting: str, value: float, allowed: str
) -> None:
    section, _, name = setting.partition(".")
    file = tmp_path / "ragkit.toml"
    file.write_text(f"[{section}]\n{name} = {value}\n")
    variable = f"RAGKIT_{section}_{name}".upper()
    places = {
        str(file): lambda: config.load(file, {}),
        variable: lambda: config.load(environ={variable: str(value)}),
        "command line": lambda: config.load(environ={}, overrides=[f"{setting}={value}"]),
        "overrides": lambda: config.replace(Settings(), {setting: value}),
    }
    for place, load in places.items():
        with pytest.raises(SettingsError) as caught:
            load()
        assert f"setting {setting} must be {allowed}, not " in caught.value.message
        assert caught.value.message.endswith(f"(from {place})")


def test_every_number_has_a_range_that_holds_its_default_and_both_ends_are_allowed() -> None:
    for key, kind in config.keys().items():
        if kind in (int, float):
            low, high = config.range_of(key)
            assert low is not None, key
            for value in (low, high if high is not None else low + 1, config.get(Settings(), key)):
                assert config.get(config.replace(Settings(), {key: kind(value)}), key) == value


def test_values_with_a_meaning_of_their_own_are_in_range() -> None:
    special = {"ingest.workers": -1, "threads": 0, "embed.dimensions": 0, "embed.batch_tokens": 0, "rerank.weight": 0}
    assert config.replace(Settings(), special).ingest.workers == -1


def test_paths_in_a_file_are_relative_to_it(tmp_path: Path) -> None:
    file = tmp_path / "ragkit.toml"
    file.write_text('[store]\ndirectory = "indices"\n')
    assert config.load(file, {}).settings.store_directory == tmp_path / "indices"


def test_settings_file_is_found_by_walking_up(tmp_path: Path) -> None:
    (tmp_path / "ragkit.toml").write_text("")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert config.find_project_file(inner) == tmp_path / "ragkit.toml"


def test_broken_toml_is_one_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "ragkit.toml"
    file.write_text("[retrieve\n")
    with pytest.raises(SettingsError, match="not valid TOML"):
        config.load(file, {})


def test_lists_come_from_toml_and_from_commas(tmp_path: Path) -> None:
    assert config.load(environ={"RAGKIT_INGEST_INCLUDE": "*.md, *.rst"}).settings.ingest.include == ("*.md", "*.rst")


def test_every_setting_has_a_sentence_that_explains_it() -> None:
    assert [key for key, _, _, help_ in config.describe() if not help_.endswith(".")] == []


def test_replace_changes_one_value_and_leaves_the_original() -> None:
    base = Settings()
    assert config.replace(base, {"rerank.depth": 5}).rerank.depth == 5
    assert base.rerank.depth == Settings().rerank.depth != 5
