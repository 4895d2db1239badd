"""The report says what the ledger tells, whole or not, and needs nothing but itself."""

import csv
import json
import random
from html.parser import HTMLParser
from pathlib import Path

import pytest

from raylab.errors import UserError
from raylab.search import report
from raylab.search.follow import Follower
from raylab.search.ledger import FILE, Ledger, Run, Study
from raylab.search.measure import Measure
from raylab.search.predicted import padding_share
from raylab.search.report import charts, table, words
from raylab.search.report.importance import FEWEST_TRIALS, importances
from raylab.search.report.words import DASH, MINUS, SPACE
from tests.invented_study import InventedStudy, masks, whole_study

BITS = Measure(name="bits_per_answer", higher_is_better=False)
VOID = {"meta", "br", "img", "input", "link", "hr"}


class Page(HTMLParser):
    """Reads a page: its text, what it would fetch, and whether every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.open.extend([] if tag in VOID else [tag])
        self.fetched += [value or "" for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split()).replace(MINUS, "-")


def page_of(folder: Path) -> Page:
    return Page((folder / "report.html").read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = whole_study(tmp_path_factory.mktemp("storage") / "demo", warnings=("This is the atlas, not triviaqa.",))
    assert report.write(folder, masks()) == folder / "report.html"
    return folder


def test_the_headline_is_the_verdict_with_its_interval_and_warnings(whole: Path) -> None:
    text = page_of(whole).text
    before_details = text[: text.index("The verdict's arms")]
    assert "salient rate 0.3 takes 4.0 bits per answer less than uniform rate 0.3" in before_details
    assert "-4.03 bits per answer" in before_details and "interval -4.61 to -3.45 · 3 paired seeds" in before_details
    assert "This is the atlas, not triviaqa." in before_details


def test_it_fetches_nothing_and_every_tag_is_closed(whole: Path) -> None:
    for name in ("report.html", "masks.html"):
        page = Page((whole / name).read_text())
        assert page.fetched == [] and page.open == []


def test_what_a_user_wrote_is_escaped(whole: Path) -> None:
    source = (whole / "report.html").read_text()
    assert "odd &amp; &lt;name&gt;" in source and "&lt;b&gt;no &amp; memory&lt;/b&gt;" in source and "&lt;wrote&gt;" in source
    assert "<wrote>" not in source and "<b>no &" not in source


def test_every_run_is_in_the_table(whole: Path) -> None:
    text = page_of(whole).text
    assert all(key in text for key in Study.read(whole).runs)
    assert "RuntimeError: <b>no & memory</b>" in text and "loss 31.2 at step 9" in text


def test_origin_is_told(whole: Path) -> None:
    text = page_of(whole).text
    for fact in (
        "builtin:atlas",
        "0011223344556677aabb",
        "splits.dev 130",
        "split 80/10/10",
        "python -m raylab.search masking",
        "4f5e6d7c",
    ):
        assert fact in text


def test_padding_is_told_where_it_is_known(tmp_path: Path) -> None:
    folder, told = whole_study(tmp_path / "demo"), "12% only padded"
    report.write(folder, masks())
    assert told in page_of(folder).text
    ledger = folder / FILE
    ledger.write_text(ledger.read_text().replace('"positions"', '"unknown"'))
    assert padding_share(Study.read(folder)) is None
    report.write(folder, masks())
    assert told not in page_of(folder).text


def test_tables_lie_beside_the_page(whole: Path) -> None:
    with open(whole / "runs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["key"] for row in rows if row["state"] == "failed"] and len(rows) == 23
    scores = [float(row["score"]) for row in rows if row["score"]]
    assert scores == sorted(scores) and {"values.policy", "values.rate"} <= rows[0].keys()
    scored = [row for row in rows if row["score"]]
    assert all(float(row["score_low"]) < float(row["score"]) < float(row["score_high"]) for row in scored)
    assert {row["n_seeds"] for row in scored if row["label"] == "salient rate 0.3"} >= {"3"}
    assert all(row["dev"] and row["n_seeds"] != "" for row in scored), "its own score beside the estimate"
    assert json.loads((whole / "verdict.json").read_text())["decision"] == "better"
    assert json.loads((whole / "winner.json").read_text())["stages"][0]["policy"]["name"] == "salient"


def test_masks_mark_what_is_hidden_and_are_kept(whole: Path) -> None:
    first = (whole / "masks.html").read_text()
    assert "<mark>Ada Lovelace</mark> &lt;wrote&gt; in <mark>1843</mark> that" in first
    (whole / "masks.html").unlink()
    report.write(whole)  # without drawing them again
    assert (whole / "masks.html").read_text() == first


def test_equal_ledgers_give_equal_pages(tmp_path: Path) -> None:
    first, second = (whole_study(tmp_path / where / "demo") for where in ("a", "b"))
    assert report.write(first).read_bytes() == report.write(second).read_bytes()


def test_nothing_finished(tmp_path: Path) -> None:
    study = InventedStudy(tmp_path / "new")
    study.ask("explore", "span", 0.3, trial=0)
    report.write(study.folder)
    text = page_of(study.folder).text
    assert "No verdict: no trial has finished." in text and "Too few trials to tell" in text
    assert not (study.folder / "winner.json").exists() and not (study.folder / "verdict.json").exists()


def test_interrupted(tmp_path: Path) -> None:
    study = InventedStudy(tmp_path / "stopped")
    list(study.explore(["finished", "failed", "pruned"]))
    study.start(study.ask("explore", "span", 0.3, trial=3))
    study.interrupt()
    with open(study.folder / FILE, "ab") as ledger:
        ledger.write(b'{"event": "torn')
    report.write(study.folder)
    text = page_of(study.folder).text
    assert "No verdict yet: 1 trial has finished; the best so far is uniform" in text and "running" in text


def test_a_ledger_with_only_its_first_line(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    Ledger(tmp_path / "bare").append("study", name="bare", settings={}, data={}, environment={})
    report.write(tmp_path / "bare")
    assert "bare" in page_of(tmp_path / "bare").text


def test_a_verdict_that_was_not_run(tmp_path: Path) -> None:
    study = InventedStudy(tmp_path / "alone")
    list(study.explore(["finished"]))
    verdict = {
        "decision": "not_run",
        "sentence": "No verdict: the winner is the baseline itself.",
        "arms": [],
        "difference": None,
    }
    study.ledger.append("verdict", verdict=verdict)
    report.write(study.folder)
    assert "No verdict: the winner is the baseline itself." in page_of(study.folder).text


def test_arms_with_a_missing_seed_are_drawn() -> None:
    verdict = {
        "winner": "a",
        "baseline": "b",
        "arms": [{"label": "a", "values": [1.0, None]}, {"label": "b", "values": [2.0, 3.0]}],
    }
    assert charts.arms(verdict, BITS) is not None
    assert charts.differences(verdict, BITS) is None


def test_no_study(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no study"):
        report.write(tmp_path)


def trials(scored: list[tuple[dict[str, object], float]]) -> list[Run]:
    """Finished runs of exploration with these values and scores."""
    fixed = {"role": "explore", "replicate": 0, "recipe": {}, "state": "finished"}
    return [
        Run(key=str(i), trial=i, values=values, metrics={"dev_bits_per_answer": score}, **fixed)
        for i, (values, score) in enumerate(scored)
    ]


def test_importance_finds_what_decides() -> None:
    draw = random.Random(0)
    values = [{"policy": draw.choice("abc"), "rate": draw.random(), "noise": draw.random()} for _ in range(40)]
    runs = trials([(v, 5.0 * (v["policy"] == "a") + 8 * (v["rate"] - 0.5) ** 2 + draw.gauss(0, 0.1)) for v in values])
    found = {one.name: one for one in importances(runs, BITS)}
    assert found["policy"].sure and found["rate"].share > 0.05 and not found["noise"].sure and found["noise"].share < 0.2
    assert next(iter(found)) == "policy"


def test_importance_has_an_interval_and_says_where_no_effect_is_seen() -> None:
    draw = random.Random(2)
    values = [{"policy": draw.choice("abc"), "noise": draw.random()} for _ in range(40)]
    found = importances(trials([(v, 5.0 * (v["policy"] == "a") + draw.gauss(0, 1)) for v in values]), BITS)
    assert all(0 <= one.low <= one.high <= 1 and one.low <= one.share + 1e-9 for one in found)
    policy, noise = found
    assert (policy.name, policy.sure, noise.sure) == ("policy", True, False) and policy.low > 0.1
    texts = [note["text"] for note in (charts.importance(found) or {})["layout"]["annotations"]]
    assert texts[0].startswith("policy: ") and "[" in texts[0] and texts[1] == "noise: no effect seen"


def test_importance_intervals_cover_the_share_that_more_trials_show() -> None:
    def study(trials_: int, seed: int) -> list[Run]:
        draw = random.Random(seed)
        values = [{"a": draw.choice("xyz")} for _ in range(trials_)]
        return trials([(v, 1.5 * (v["a"] == "x") + draw.gauss(0, 1)) for v in values])

    [true] = importances(study(4000, 0), BITS)
    found = [importances(study(40, seed), BITS)[0] for seed in range(1, 101)]
    assert sum(one.low <= true.share <= one.high for one in found) >= 85


def test_importance_of_what_decides_nothing_is_rarely_sure() -> None:
    draw = random.Random(1)
    sure = 0
    for _ in range(200):
        runs = trials([({"a": draw.choice("xyz"), "b": draw.random(), "c": draw.random()}, draw.random()) for _ in range(15)])
        sure += any(one.sure for one in importances(runs, BITS))
    assert sure <= 20  # 5 % of 200 are 10; more than 20 would be a chance of 1 in 500


def test_importance_is_silent_where_it_can_not_tell() -> None:
    few = trials([({"a": i % 2}, float(i)) for i in range(FEWEST_TRIALS - 1)])
    same_score = trials([({"a": i % 2}, 1.0) for i in range(20)])
    same_value = trials([({"a": 1}, float(i)) for i in range(20)])
    all_different = trials([({"a": str(i)}, float(i)) for i in range(20)])
    assert [importances(runs, BITS) for runs in (few, same_score, same_value, all_different)] == [[], [], [], []]


def test_importance_of_a_conditional_choice_counts_the_trials_that_have_it() -> None:
    runs = trials([({"policy": "span", "length": i}, float(i)) for i in range(12)] + [({"policy": "uniform"}, 99.0)] * 12)
    assert {one.name: one.trials for one in importances(runs, BITS)} == {"policy": 24, "length": 12}


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        (
            {"difference": -4.03, "low": -4.61, "high": -3.45, "seeds": 3},
            "-4.03 bits per answer · 95 % interval -4.61 to -3.45 · 3 paired seeds",
        ),
        ({"difference": 0.5, "low": None, "high": None, "seeds": 1}, "+0.50 bits per answer · 1 paired seed"),
        ({"difference": 31.0, "low": -20.0, "high": 82.0}, "+31 bits per answer · 95 % interval -20 to +82"),
        ({"difference": 0.0, "low": 0.0, "high": 0.0}, "+0.0 bits per answer · 95 % interval +0.0 to +0.0"),
        ({"difference": None}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_interval_in_words(figures: dict[str, float | None], expected: str) -> None:
    assert words.interval(figures, BITS).replace(MINUS, "-").replace(SPACE, " ") == expected


def test_figures_in_words() -> None:
    counts = [words.count(n).replace(SPACE, " ") for n in (None, 0, 999, 300_000, 6_900_000, 4.1e13)]
    assert counts == [DASH, "0", "999", "300 k", "6.9 M", "41.0 T"]
    assert [words.duration(s) for s in (None, 3.14, 508, 7300)] == [DASH, "3.1 s", "8 min 28 s", "2 h 1 min"]
    assert [words.number(x) for x in (None, 0.03, 23.4567, 1234.5)] == [DASH, "0.030", "23.46", "1234"]


def test_a_follower_reads_each_line_once_and_none_before_its_newline(tmp_path: Path) -> None:
    study = InventedStudy(tmp_path / "live")
    follower = Follower(study.folder)
    assert follower.read() and not follower.read()
    key = study.ask("explore", "span", 0.3, trial=0)
    whole_line = (study.folder / FILE).read_bytes().splitlines(keepends=True)[-1]
    with open(study.folder / FILE, "r+b") as ledger:
        ledger.truncate((study.folder / FILE).stat().st_size - 10)
    assert not follower.read() and follower.study is not None and not follower.study.runs
    with open(study.folder / FILE, "ab") as ledger:
        ledger.write(whole_line[-10:])
    assert follower.read() and list(follower.study.runs) == [key]


def test_a_follower_waits_for_a_ledger(tmp_path: Path) -> None:
    follower = Follower(tmp_path)
    assert not follower.read() and follower.study is None


def test_where_the_time_went_is_told_by_phase_and_part(tmp_path: Path) -> None:
    study = Study.read(whole_study(tmp_path))
    figure = charts.times(study) or {}
    bars = {bar["name"]: bar for bar in figure["data"]}
    assert list(bars)[:2] == ["forward backward", "rungs"] and "waiting" not in bars, "the largest first, none without a second"
    explored = [run for run in study.of_role("explore") if run.seconds]
    assert bars["rungs"]["x"][0] == pytest.approx(2.2 * len(explored) / 60)
    assert "11.1%" in bars["rungs"]["hovertext"][0]
    assert figure["layout"]["annotations"][0]["text"].startswith("trials: ")
    row = next(row for row in table.with_values(study) if row["role"] == "explore")
    assert (row["seconds.rungs"], row["memory"]) == (2.2, 420 * 2**20)
    assert padding_share(study) == pytest.approx(0.125)
