"""The page: whole, self-contained, and also there for runs that went wrong."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hydramol.core.errors import DataError, OutputError
from hydramol.report import write_report
from hydramol.report.html import format_column, format_number, format_seconds
from tests.report.run_directory import RESULTS, make_run

VOID = {"meta", "br", "input", "img", "hr", "link"}


class Page(HTMLParser):
    """Checks that elements close in order; collects text, ids, attributes and scripts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.data: list[str] = []
        self._is_data = False
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append(tag)
        self.ids += [values["id"]] if "id" in values else []
        self.addresses += [values[key] for key in ("href", "src", "xlink:href", "action") if key in values]
        self._is_data = values.get("type") == "application/json"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self._is_data = False

    def handle_data(self, data):
        if self._is_data:
            self.data.append(data)
        elif "script" not in self.open and "style" not in self.open:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run directory with its report; not to be changed."""
    run = make_run(tmp_path_factory.mktemp("outputs") / "demo" / "2026-01-01")
    assert write_report(run) == run / "report.html"
    return run


@pytest.fixture
def run(tmp_path) -> Path:
    """A run directory without plots, which make reports slow."""
    return make_run(tmp_path / "demo" / "2026-01-01", plots=False)


def test_the_whole_page(whole):
    path = whole / "report.html"
    page = Page(path)
    for words in (
        "demo", "finished", "946 944", "2 min 51 s", "−52 %", "optimizer.lr=3e-4", "nets.painn.PaiNN",
        "Denoising <b>", "Real structures are noised & brought back.", "0.163", "How to read.", "A note.",
        "Samples: first", "Drawn from noise", "torch", "2.13.0", "2 600", "n_features: 64", "Noised to t = 100",
    ):  # fmt: skip
        assert words in page.words, words
    assert page.tags.count("svg") == 2 + 4  # loss and learning rate, and the plots of the evaluation
    assert "notes" not in path.read_text().split("<main>")[1].split("</header>")[0]


def test_nothing_is_fetched(whole):
    page = Page(whole / "report.html")
    text = (whole / "report.html").read_text()
    assert not re.search(r"https?:|//www|@import|url\((?!#)", text)
    assert all(address.startswith("#") for address in page.addresses)
    assert not {"link", "img", "iframe"} & set(page.tags)


def test_ids_are_unique_and_references_lead_somewhere(whole):
    page = Page(whole / "report.html")
    assert len(page.ids) == len(set(page.ids))
    assert {address[1:] for address in page.addresses} <= set(page.ids)
    clips = re.findall(r"url\(#([^)]*)\)", (whole / "report.html").read_text())
    assert clips
    assert set(clips) <= set(page.ids)


def test_structures_reach_the_viewer(whole):
    shown, path = (json.loads(data) for data in Page(whole / "report.html").data)
    assert [element["symbol"] for element in shown["elements"]] == ["H", "O"]
    assert [card["caption"] for card in shown["cards"]] == ["water 0", "water 1"]
    assert [cell["label"] for cell in shown["cards"][0]["cells"]] == ["noised", "real"]
    assert shown["cards"][0]["cells"][0]["z"] == [1, 0, 0]
    assert shown["cards"][0]["cells"][0]["frames"] == [[0, 0, 0, 0.96, 0, 0, -0.24, 0.93, 0]]
    assert [len(cell["frames"]) for cell in path["cards"][0]["cells"]] == [5]


def test_text_cannot_end_the_data_script(run):
    found = RESULTS.to_dict()
    found["sections"][0]["structures"][0]["captions"] = ["</script><b>"]
    (run / "evaluation_test.json").write_text(json.dumps(found))
    shown = json.loads(Page(write_report(run)).data[0])
    assert shown["cards"][0]["caption"] == "</script><b>"


def test_writing_twice_leaves_one_page(run):
    write_report(run)
    write_report(run)
    assert [path.name for path in run.iterdir() if "report" in path.name] == ["report.html"]


@pytest.mark.parametrize(
    ("missing", "note", "status"),
    [
        ("metrics.json", "metrics.json is not there", "trained, not yet evaluated"),
        ("metrics.csv", "metrics.csv is not there", "finished"),
        ("config.yaml", "config.yaml is not there", "finished"),
        ("summary.json", "summary.json is not there", "finished"),
        ("evaluation_test.json", "the model was not evaluated", "finished"),
        ("evaluation/test/shown.extxyz", "the structures are not there", "finished"),
    ],
)
def test_a_missing_part_is_a_note(run, missing, note, status):
    (run / missing).unlink()
    words = Page(write_report(run)).words
    assert note in words
    assert status in words


@pytest.mark.parametrize(
    ("broken", "content", "note"),
    [
        ("metrics.csv", "step,train/loss\n1,0.5\n2,wreck\n", "metrics.csv: line 3 is no row of numbers"),
        ("metrics.csv", "some words\n", "metrics.csv: is no table of metrics"),
        ("metrics.csv", "step,a\n1,2,3,4\n", None),
        ("config.yaml", "a: [1\n", "config.yaml: is not YAML"),
        ("config.yaml", "- 1\n", "config.yaml: holds no mapping"),
        ("metrics.json", "{", "metrics.json: is not JSON"),
        ("evaluation_test.json", '{"scalars": {}}', "evaluation_test.json: does not hold results"),
        ("evaluation/test/shown.extxyz", "3\n\nO 0 0 0\n", "shown.extxyz: is no extxyz file (the frame at line 1)"),
        ("evaluation/test/shown.extxyz", "1\n\nQq 0 0 0\n", "shown.extxyz: is no extxyz file"),
    ],
)
def test_a_broken_part_is_a_note(run, broken, content, note):
    (run / broken).write_text(content)
    words = Page(write_report(run)).words
    assert note is None or note in words
    assert "Configuration" in words or broken == "config.yaml"


def test_an_empty_folder_has_a_report(tmp_path):
    words = Page(write_report(tmp_path)).words
    assert "not trained here" in words
    assert "training did not begin" in words


def test_a_crashed_run_says_so(run):
    for name in ("metrics.json", "evaluation_test.json"):
        (run / name).unlink()
    (run / "summary.json").write_text('{"status": "running"}')
    assert "unfinished" in Page(write_report(run)).words
    (run / "summary.json").write_text('{"status": "interrupted"}')
    assert "interrupted" in Page(write_report(run)).words


def test_no_folder_no_report(tmp_path):
    with pytest.raises(DataError, match="is no folder"):
        write_report(tmp_path / "nowhere")


def test_a_folder_that_cannot_be_written(run, monkeypatch):
    def refuse(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(OutputError, match="No space left"):
        write_report(run)
    assert not [path.name for path in run.iterdir() if "report" in path.name]


def test_numbers_for_people():
    assert [format_number(v) for v in (1234567, -3, 0.00012345, 2.0, float("nan"), None, "x", True)] == [
        "1\u2009234\u2009567", "−3", "0.0001234", "2", "–", "", "x", "True",
    ]  # fmt: skip
    assert format_column([56.0, 45.0, 30.6]) == ["56.0", "45.0", "30.6"]
    assert format_column([0.07206, 0.3483, float("nan")]) == ["0.0721", "0.3483", "–"]
    assert format_column([1e-6, 1.0]) == ["1e−06", "1"]
    assert format_column([3, 2, "x"]) == ["3", "2", "x"]
    assert [format_seconds(s) for s in (0.035, 9.5, 59, 171.3, 7500)] == [
        "35 ms",
        "9.5 s",
        "59 s",
        "2 min 51 s",
        "2 h 5 min",
    ]
