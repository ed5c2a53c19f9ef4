"""Results file and reports."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from framewright.benchmark import Outcome, Results, RunOptions, plain_text, read_results, run, write_reports
from framewright.benchmark.comparison import compare
from framewright.benchmark.formats import escape_latex, latex, markdown, table_csv, videos_csv
from framewright.benchmark.results import MetricColumn, write_results
from framewright.benchmark.samples import LearningCurve, pick_cases, pick_ends
from framewright.benchmark.tables import make_table
from framewright.core.errors import DataError, FramewrightError
from framewright.core.files import safe_name
from framewright.models.card import PublishedResult
from framewright.video import open_video

from .made_up import made_up_gallery, made_up_results

Make = Callable[..., Any]

HOSTILE = "<script>alert('1')</script> & ../../x=100% _{^~\\}|\x1b[31m\n#"


@pytest.fixture
def outcome(tmp_path: Path, make_benchmark: Make, make_method: Make) -> Outcome:
    good, bad = make_method("good", 0.01), make_method(HOSTILE, 0.08)
    good.published = (PublishedResult("drift_v1", "psnr", 35.5, "Doe et al. 2020, table 2"),)
    options = RunOptions(pictures=tmp_path / "out", clips=1, resamples=200, command="python evaluate.py 'a b'")
    return run(make_benchmark([good, bad, make_method("../evil", 0.05)]), options)


@pytest.fixture
def results(outcome: Outcome) -> Results:
    return outcome.results


class _Page(HTMLParser):
    """Collects tags, addresses and visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_json_round_trip_and_schema(tmp_path: Path, results: Results) -> None:
    path = tmp_path / "results.json"
    write_results(results, path)
    value = json.loads(path.read_text(), parse_constant=lambda text: pytest.fail(text))
    assert list(value) == [
        "schema", "benchmark", "protocol", "dataset", "data_manifest", "command", "environment", "methods",
    ]  # fmt: skip
    assert value["schema"] == 1
    method = value["methods"][0]
    assert {"name", "source", "weights_sha256", "metrics", "videos"} <= set(method)
    metric = method["metrics"]["psnr"]
    assert set(metric) == {"mean", "ci95", "n", "n_frames", "unit", "higher_is_better", "published"}
    assert metric["published"]["value"] == 35.5
    assert len(metric["ci95"]) == 2
    assert set(method["videos"]["group/clip 0"]) == {"psnr", "ssim"}
    assert read_results(path) == results


def _damage(value: dict[str, Any], how: str) -> None:
    metric = value["methods"][0]["metrics"]["psnr"]
    match how:
        case "schema":
            value["schema"] = 2
        case "missing":
            del value["dataset"]
        case "type":
            metric["n"] = "four"
        case "reason":
            metric["mean"] = None
        case "metrics":
            del value["methods"][1]["metrics"]["ssim"]
        case "names":
            value["methods"][1]["name"] = value["methods"][0]["name"]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("schema", "not a results file of schema 1 .found 2"),
        ("missing", "dataset: Field required"),
        ("type", r"methods.0.metrics.psnr.n: "),
        ("reason", "a reason stands beside mean: null"),
        ("metrics", "has the metrics"),
        ("names", "must be unique"),
    ],
)
def test_reader_names_what_is_wrong(tmp_path: Path, results: Results, how: str, message: str) -> None:
    value = results.to_json()
    _damage(value, how)
    path = tmp_path / "results.json"
    path.write_text(json.dumps(value))
    with pytest.raises(DataError, match=message):
        read_results(path)


def test_reader_refuses_what_is_not_strict_json(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text('{"schema": NaN}')
    with pytest.raises(DataError, match="NaN is not strict JSON"):
        read_results(path)
    with pytest.raises(DataError, match="cannot read"):
        read_results(tmp_path / "none.json")


def test_html_is_safe_complete_and_self_contained(tmp_path: Path, outcome: Outcome) -> None:
    results = outcome.results
    written = write_reports(results, tmp_path / "out", outcome.gallery, outcome.manifest)
    page = _Page(written.html.read_text(encoding="utf-8"))
    assert page.tags.count("script") == 1
    text = written.html.read_text(encoding="utf-8")
    script = text.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    assert f"script-src 'sha256-{digest}'" in text, "no other script can run"
    assert "iframe" not in page.tags
    assert page.addresses
    assert all(address.startswith(("data:image/jpeg", "data:video/mp4")) for address in page.addresses)
    assert "<script>alert('1')</script> & ../../x=100%" in page.text
    for method in results.methods:
        for key, decimals in (("psnr", 2), ("ssim", 4)):
            assert f"{method.metrics[key].mean:.{decimals}f}" in page.text
            for video in method.videos.values():
                assert f"{video[key]:.{decimals}f}" in page.text
    assert f"{results.methods[0].metrics['psnr'].mean - 35.5:+.2f}" in page.text
    assert "Doe et al. 2020, table 2" in page.text
    assert "Every second frame is predicted & compared." in page.text
    assert "python evaluate.py 'a b'" in page.text
    assert results.data_manifest in page.text
    assert page.tags.count("img") == 2 * (2 + 3 + 3)
    assert json.loads((tmp_path / "out" / "data_manifest.json").read_text()) == outcome.manifest


def test_learning_curves_of_a_trained_method_are_part_of_the_page(tmp_path: Path, outcome: Outcome) -> None:
    picture = tmp_path / "curves.png"
    picture.write_bytes(b"\x89PNG bytes of a picture")
    outcome.gallery.curves.append(LearningCurve(HOSTILE, picture))
    written = write_reports(outcome.results, tmp_path / "out", outcome.gallery)
    page = _Page(written.html.read_text(encoding="utf-8"))
    embedded = base64.b64encode(picture.read_bytes()).decode("ascii")
    assert f"data:image/png;base64,{embedded}" in page.addresses
    assert "Training: <script>alert('1')</script>" in page.text
    assert page.tags.count("script") == 1


def test_hostile_names_stay_inside_the_output_folder(tmp_path: Path, outcome: Outcome) -> None:
    write_reports(outcome.results, tmp_path / "out", outcome.gallery)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    for path in (tmp_path / "out").rglob("*"):
        assert re.fullmatch(r"[A-Za-z0-9._-]+", path.name), path.name


def test_absent_metric_shows_dash_reason_and_remedy(results: Results) -> None:
    value = results.to_json()
    for method in value["methods"]:
        method["metrics"]["ssim"] |= {"mean": None, "ci95": None, "n": 0, "n_frames": 0}
        method["metrics"]["ssim"]["reason"] = "weights <x> absent; put them at /there"
        for video in method["videos"].values():
            video["ssim"] = None
    absent = Results.model_validate(value)
    assert make_table(absent).reasons == ("SSIM: weights <x> absent; put them at /there",)
    text = plain_text(absent)
    assert "- SSIM: weights <x> absent; put them at /there" in text
    assert re.search(r"good +\d+\.\d+\* +\[.*\] .* -", text)
    assert "weights &lt;x&gt; absent" in markdown(absent)
    assert "SSIM: weights" in latex(absent)


def test_partly_absent_metric_names_its_methods(results: Results) -> None:
    value = results.to_json()
    value["methods"][0]["metrics"]["psnr"] |= {"mean": None, "ci95": None, "n": 0, "n_frames": 0, "reason": "because"}
    assert make_table(Results.model_validate(value)).reasons == ("PSNR of good: because",)


def test_marks(results: Results) -> None:
    rows = make_table(results).rows
    assert [row.cells[0].rank for row in rows] == [1, 0, 2]
    assert "\\textbf{" + rows[0].cells[0].value + "}" in latex(results)
    assert "\\underline{" + rows[2].cells[0].value + "}" in latex(results)
    assert f"**{rows[0].cells[0].value}**" in markdown(results)


def test_equal_printed_values_share_the_mark(results: Results) -> None:
    value = results.to_json()
    mean = value["methods"][0]["metrics"]["psnr"]["mean"]
    value["methods"][2]["metrics"]["psnr"]["mean"] = mean + 1e-9
    rows = make_table(Results.model_validate(value)).rows
    assert [row.cells[0].rank for row in rows] == [1, 2, 1]


def test_latex_escapes(results: Results) -> None:
    assert escape_latex("a_b & 50% {x} #1 ~^\\ $") == (
        r"a\_b \& 50\% \{x\} \#1 \textasciitilde{}\textasciicircum{}\textbackslash{} \$"
    )
    text = latex(results)
    # PSNR with its published value, SSIM, average rank, parameters, milliseconds
    assert "\\begin{tabular}{lcccccc}" in text
    assert all(rule in text for rule in ("\\toprule", "\\midrule", "\\bottomrule"))
    body = text.split("\\midrule")[1]
    assert body.count("\\\\\n") == 3, "a line break in a name does not break the row"
    assert "100\\%" in body
    assert "\x1b" not in text


def test_markdown_rows_are_intact(results: Results) -> None:
    lines = [line for line in markdown(results).splitlines() if line.startswith("|")]
    assert len(lines) == 5
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert "<script>" not in markdown(results)


def test_plain_text_cannot_steer_the_terminal(results: Results) -> None:
    text = plain_text(results)
    assert "\x1b" not in text
    assert "drift: 4 videos, 8 frames; protocol plain v3." in text
    assert "published: Doe et al. 2020, table 2" in text


def test_csv_has_full_precision(results: Results) -> None:
    rows = list(csv.DictReader(io.StringIO(table_csv(results))))
    assert [row["method"] for row in rows] == ["good", HOSTILE, "../evil"]
    assert float(rows[0]["psnr"]) == results.methods[0].metrics["psnr"].mean
    assert float(rows[0]["psnr_published"]) == 35.5
    assert rows[1]["psnr_published"] == ""
    videos = list(csv.DictReader(io.StringIO(videos_csv(results))))
    assert len(videos) == 12
    assert float(videos[0]["ssim"]) == results.methods[0].videos["group/clip 0"]["ssim"]


def test_single_video_and_many_videos_render(
    tmp_path: Path, make_benchmark: Make, make_method: Make, make_videos: Make
) -> None:
    single = run(make_benchmark([make_method("m", 0.01)], make_videos((3,)))).results
    assert single.methods[0].metrics["psnr"].ci95 is None
    assert write_reports(single, tmp_path / "one").html.exists()
    value = single.to_json()
    one = value["methods"][0]["videos"]["group/clip 0"]
    value["methods"][0]["videos"] = {f"v{i}": {k: x + i for k, x in one.items()} for i in range(60)}
    written = write_reports(Results.model_validate(value), tmp_path / "many")
    assert "polyline" in written.html.read_text(encoding="utf-8")


def test_unwritable_output_is_one_clear_message(tmp_path: Path, results: Results) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FramewrightError, match="cannot write to the folder"):
        write_reports(results, tmp_path / "file" / "out")


def test_safe_names() -> None:
    assert safe_name("rife_m-1.0") == "rife_m-1.0"
    hostile = ["../x", "a/b", "a b", "a=b", ".hidden", "", "é", "x" * 300, "a_b"]
    made = [safe_name(name) for name in hostile]
    assert len(set(made)) == len(hostile)
    for name in made:
        assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,95}", name), name


def test_pick_ends() -> None:
    values = [[3.0, None, 1.0], [2.0, 5.0]]
    assert pick_ends(values, True) == {"worst": (0, 2), "best": (1, 1)}
    assert pick_ends(values, False) == {"worst": (1, 1), "best": (0, 2)}
    assert pick_ends([[None]], True) == {}


def test_costs_are_columns_only_where_one_is_known() -> None:
    assert [extra.key for extra in make_table(made_up_results(costs=False)).extras] == []
    table = make_table(compare(made_up_results(3)))
    assert [extra.heading for extra in table.extras] == [
        "average rank", "parameters", "MACs/frame (G)", "ms/frame", "peak memory (MB)",
    ]  # fmt: skip
    assert [cell.value for cell in table.rows[0].extras][1:] == ["1.50 M", "-", "20", "850"]
    assert [cell.value for cell in table.rows[1].extras][1:] == ["3.00 M", "130", "40", "1550"]


def test_what_may_be_as_good_as_the_best_is_marked_and_explained() -> None:
    compared = compare(made_up_results(4, 10))
    best = compared.ranking("psnr")[0]
    rows = {row.name: row.cells[0] for row in make_table(compared).rows}
    assert {name for name, cell in rows.items() if cell.tied} == {"method_0", "method_1"} - {best}
    other = next(cell.value for cell in rows.values() if cell.tied)
    assert f"<u>{other}</u>†" in markdown(compared)
    assert f"\\underline{{{other}}}$^{{\\dagger}}$" in latex(compared)
    assert f"{other}†" in plain_text(compared)
    for text in (markdown(compared), latex(compared), plain_text(compared)):
        assert "Holm-corrected" in text
        assert "Not tested against the best: FID" in text
    row = next(row for row in csv.DictReader(io.StringIO(table_csv(compared))) if row["method"] == "method_3")
    assert float(row["psnr_p_value"]) == compared.methods[3].metrics["psnr"].p_value
    assert row["fid_p_value"] == ""
    assert "†" not in markdown(made_up_results(4, 10)), "nothing was tested"


def test_without_a_mark_the_note_says_that_all_differ() -> None:
    value = made_up_results(2, 10).to_json()
    for method, shift in zip(value["methods"], (0.0, -5.0), strict=True):
        for video in method["videos"].values():
            video |= {"psnr": 30 + shift, "ssim": 0.9 + shift / 100, "lpips": 0.1 - shift / 100}
        for key in ("psnr", "ssim", "lpips"):
            method["metrics"][key]["mean"] = method["videos"]["scene/0"][key]
    text = plain_text(compare(Results.model_validate(value)))
    assert "†" not in text
    assert "Every tested method differs from the best of its column (p <= 0.05; two-sided" in text


def test_too_few_videos_for_so_many_methods_is_said() -> None:
    assert "Too few videos" in plain_text(compare(made_up_results(9, 6)))
    assert "Too few videos" not in plain_text(compare(made_up_results(9, 12)))


def test_latex_shows_the_difference_to_the_published_value_with_a_minus_sign() -> None:
    results = made_up_results(2, 8)
    mean = results.methods[0].metrics["psnr"].mean
    assert mean is not None
    assert rf"33.10 {{\scriptsize (${mean - 33.1:+.2f}$)}}" in latex(results)


def test_clips_have_one_file_per_method_in_step(tmp_path: Path) -> None:
    clip = made_up_gallery(tmp_path, ["inputs", "a/b"], videos=1).clips[0]
    assert [track.label for track in clip.tracks] == ["inputs", "inputs (method)", "a/b", "target"]
    assert (clip.frames, clip.fps, clip.size) == (13, 6.0, (36, 64))
    for track in clip.tracks:
        with open_video(track.path) as reader:
            assert (len(reader), reader.size, float(reader.fps or 0)) == (13, (36, 64), 6.0)
    assert len({track.path for track in clip.tracks}) == 4


def test_pick_cases_merges_frames_and_maps_items_to_frames() -> None:
    kinds = (("psnr", True, "frame"), ("warp", False, "pair"), ("vfid", False, "set"), ("pvcs", False, "video"))
    shared: dict[str, Any] = {"options": {}, "unit": "", "decimals": 2}
    columns = [
        MetricColumn(key=key, label=key.upper(), metric=key, higher_is_better=up, items=items, **shared)
        for key, up, items in kinds
    ]
    values = {
        "psnr": [[3.0, None, 1.0], [2.0, 5.0, 4.0]],
        "warp": [[0.1, 0.9], [0.2, 0.3]],
        "pvcs": [[0.5], [0.7]],
    }
    methods = {"psnr": "a", "warp": "a", "pvcs": "b"}
    cases = pick_cases(values, columns, methods, [3, 3])
    assert [(case.video, case.frame) for case in cases] == [(0, 2), (1, 1), (0, 1)]
    assert [case.title for case in cases] == [
        "Worst case of a (PSNR, WARP)",
        "Worst case of b (PVCS); best case of a (PSNR)",
        "Best case of a (WARP); best case of b (PVCS)",
    ]
    assert len(pick_cases(values, columns, methods, [3, 3], most=2)) == 2
