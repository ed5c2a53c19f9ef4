"""The report in a real browser: what its script does, and that nothing else runs."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from framewright.benchmark import read_results, report, write_reports
from framewright.benchmark.comparison import compare

from .made_up import made_up_gallery, made_up_results

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)
HOSTILE = "<img src=x onerror=fail()>'\"&"

pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium on this machine")

Browse = Callable[..., dict[str, Any]]

# runs before the page's own script, and after it; the check's answer is sent to the test
WATCH = """
window.failures = [];
addEventListener("error", (event) => failures.push(String(event.message)));
addEventListener("unhandledrejection", (event) => failures.push(String(event.reason)));
addEventListener("securitypolicyviolation", (event) => failures.push(`${event.violatedDirective} ${event.blockedURI}`));
"""
CHECK = """
(async () => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const sleep = (time) => new Promise((resolve) => setTimeout(resolve, time));
  const until = async (test, what) => {
    for (let turn = 0; turn < 400; turn += 1) { if (test()) return; await sleep(25); }
    throw new Error(`waited in vain for ${what}`);
  };
  let answer;
  try { answer = await (async () => { %s })(); } catch (error) { failures.push(String(error)); }
  await fetch("%s", { method: "POST", mode: "no-cors", body: JSON.stringify({ answer, failures }) });
})();
"""


@pytest.fixture(scope="module")
def answers() -> Iterator[tuple[str, queue.Queue[dict[str, Any]]]]:
    """An address that takes what a page found out."""
    found: queue.Queue[dict[str, Any]] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", found
    server.shutdown()
    server.server_close()


@pytest.fixture
def browse(tmp_path: Path, answers: tuple[str, queue.Queue[dict[str, Any]]]) -> Browse:
    """Open a page from its folder, run a function's body in it, and return what that returned."""
    address, found = answers

    def open_page(page: Path, body: str, size: str = "1280,900") -> Any:
        check = CHECK % (body, address)
        allowed = " ".join(f"'sha256-{_hash(script)}'" for script in (WATCH, check))
        text = page.read_text(encoding="utf-8")
        assert text.count("script-src ") == 1
        text = text.replace("script-src ", f"connect-src {address}; script-src {allowed} ")
        text = text.replace("<title>", f"<script>{WATCH}</script><title>", 1)
        copy = page.with_name("checked.html")
        copy.write_text(text.replace("</body>", f"<script>{check}</script></body>"), encoding="utf-8")
        assert BROWSER is not None
        command = [BROWSER, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={size}", copy.as_uri()]
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        ) as process:
            try:
                result = found.get(timeout=60)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        assert result["failures"] == []
        return result["answer"]

    return open_page


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "out"
    results = made_up_results(methods=4, videos=12, names=("m10", "m9", HOSTILE, "a" * 90))
    value = results.to_json()
    value["methods"][2]["metrics"]["ssim"] |= {"mean": None, "ci95": None, "n": 0, "n_frames": 0, "reason": "absent"}
    for video in value["methods"][2]["videos"].values():
        video["ssim"] = None
    gallery = made_up_gallery(out, [method.name for method in results.methods])
    return write_reports(compare(type(results).model_validate(value)), out, gallery).html


def test_a_heading_sorts_its_column_and_says_so(page: Path, browse: Browse) -> None:
    answer = browse(
        page,
        """
        const table = document.querySelector("table.sortable");
        const names = () => all("tbody .name", table).map((name) => name.textContent);
        const heads = all("thead th", table);
        const button = (text) => all("thead button", table).find((b) => b.textContent.startsWith(text));
        const steps = [];
        for (const text of ["PSNR", "SSIM", "SSIM", "SSIM", "LPIPS", "Method", "MACs"]) {
          button(text).focus();
          document.activeElement.click();
          const sorted = heads.filter((head) => head.hasAttribute("aria-sort"));
          steps.push([text, names(), sorted.map((head) => head.getAttribute("aria-sort"))]);
        }
        return { steps, original: names().length, tags: all("img[src=x]").length };
        """,
    )
    results = read_results(page.with_name("results.json"))
    a = "a" * 90
    ssim = results.ranking("ssim")
    assert sorted(ssim) == sorted(["m10", "m9", a])
    # the first click shows the best first; a row without a value is last in both directions
    assert answer["steps"] == [
        ["PSNR", results.ranking("psnr"), ["descending"]],
        ["SSIM", [*ssim, HOSTILE], ["descending"]],
        ["SSIM", [*reversed(ssim), HOSTILE], ["ascending"]],
        ["SSIM", ["m10", "m9", HOSTILE, a], []],
        ["LPIPS", results.ranking("lpips"), ["ascending"]],
        ["Method", [HOSTILE, a, "m9", "m10"], ["ascending"]],
        ["MACs", ["m9", HOSTILE, a, "m10"], ["ascending"]],
    ]
    assert answer["tags"] == 0


def test_the_table_of_videos_sorts_too(page: Path, browse: Browse) -> None:
    answer = browse(
        page,
        """
        const table = all("table.videos").at(-1);
        table.closest("details").open = true;
        const buttons = all("thead button", table);
        const column = (index) => all("tbody tr", table).map((row) => row.cells[index].textContent);
        buttons[4].click();
        const values = column(4);
        buttons[0].click();
        return { heads: buttons.length, values, videos: column(0) };
        """,
    )
    assert answer["heads"] == 1 + 4 * 3, "FID has no values per video"
    values = [float(value) for value in answer["values"]]
    assert values == sorted(values, reverse=True)
    assert answer["videos"] == [f"scene/{index}" for index in range(12)], "2 comes before 10"


PLAYER = """
const root = document.querySelector(".player");
const find = (selector) => root.querySelector(selector);
const videos = all(".stage video", root);
const settled = (frame) => until(() => find("output").textContent.startsWith(`frame ${frame} `)
  && videos.every((video) => !video.seeking && video.readyState >= 2
                  && Math.abs(video.currentTime - (frame - 0.5) / 6) < 1e-3), `frame ${frame}`);
const choose = (selector, text) => {
  const select = find(selector);
  select.value = [...select.options].find((option) => option.textContent === text).value;
  select.dispatchEvent(new Event("change"));
};
"""


def test_two_methods_play_frame_by_frame_in_step(page: Path, browse: Browse) -> None:
    answer = browse(
        page,
        PLAYER
        + """
        const brightness = (video) => {
          const canvas = document.createElement("canvas");
          [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
          const context = canvas.getContext("2d");
          context.drawImage(video, 0, 0);
          const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
          return data.reduce((sum, value) => sum + value, 0) / data.length;
        };
        await settled(1);
        const first = { labels: all(".stage .tag", root).map((tag) => tag.textContent),
                        durations: videos.map((video) => video.duration),
                        size: [videos[0].videoWidth, videos[0].videoHeight],
                        left: all(".clip").length, hidden: root.hidden };
        choose("select.first", "target");
        choose("select.other", "target");
        const same = [];
        for (let frame = 1; frame <= 13; frame += 1) {
          await settled(frame);
          same.push(videos.map(brightness));
          find(".forward").click();
        }
        await settled(1);
        find(".back").click();
        await settled(13);
        find(".scrub input").value = 5;
        find(".scrub input").dispatchEvent(new Event("input"));
        await settled(5);
        choose("select.video", "scene/1");
        await settled(5);
        const kept = find("select.first").selectedOptions[0].textContent;
        find(".speed select").value = "4";
        find(".play").click();
        const label = find(".play").textContent;
        const seen = new Set();
        await until(() => { seen.add(find("output").textContent); return seen.size === 13; }, "a whole round");
        find(".play").click();
        await until(() => videos.every((video) => !video.seeking), "rest");
        const apart = Math.abs(videos[0].currentTime - videos[1].currentTime);
        return { first, same, kept, label, apart, paused: find(".play").textContent };
        """,
    )
    first = answer["first"]
    assert first["labels"] == ["m10", "m9"]
    assert first["durations"] == pytest.approx([13 / 6, 13 / 6], abs=0.01)
    assert first["size"] == [64, 36]
    assert first["left"] == 0, "the player replaces the list of clips"
    assert not first["hidden"]
    left = [pair[0] for pair in answer["same"]]
    assert all(pair[0] == pair[1] for pair in answer["same"]), "the same frame of the same clip on both sides"
    assert left == sorted(left), "each frame is brighter than the one before"
    assert left[-1] - left[0] > 30
    assert answer["kept"] == "target"
    assert (answer["label"], answer["paused"]) == ("Pause", "Play")
    assert answer["apart"] < 1e-6


def test_the_divider_follows_the_pointer_and_the_slider(page: Path, browse: Browse) -> None:
    answer = browse(
        page,
        PLAYER
        + """
        const stage = find(".stage");
        const clip = () => getComputedStyle(videos[1]).clipPath;
        const states = [clip()];
        find(".split input").value = 20;
        find(".split input").dispatchEvent(new Event("input"));
        states.push(clip());
        const box = stage.getBoundingClientRect();
        const point = (type, part) => stage.dispatchEvent(new PointerEvent(type, {
          pointerId: 1, clientX: box.left + part * box.width, clientY: box.top + 20, bubbles: true }));
        stage.setPointerCapture = () => {};
        stage.hasPointerCapture = () => true;
        point("pointerdown", 0.75);
        states.push(clip());
        point("pointermove", 1.2);
        states.push(clip());
        return { states, slider: find(".split input").value };
        """,
    )
    assert answer["states"] == [f"inset(0px 0px 0px {share}%)" for share in (50, 20, 75, 100)]
    assert answer["slider"] == "100"


def test_pointing_at_a_dot_shows_video_method_and_value(page: Path, browse: Browse) -> None:
    answer = browse(
        page,
        """
        const dots = all("svg .dot");
        dots[2].dispatchEvent(new PointerEvent("pointermove", { clientX: 100, clientY: 100, bubbles: true }));
        const tip = document.querySelector("#tip");
        const shown = [tip.hidden, tip.textContent];
        document.body.dispatchEvent(new PointerEvent("pointermove", { bubbles: true }));
        return { shown, hidden: tip.hidden, titles: all("svg title").length };
        """,
    )
    assert answer["shown"][0] is False
    assert answer["shown"][1].startswith(f"scene/0, {HOSTILE}: ")
    assert answer["shown"][1].endswith(" dB")
    assert answer["hidden"]
    assert answer["titles"] == 0


def test_linked_clips_and_stills_show_from_a_folder(
    tmp_path: Path, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "INLINE_BYTES", 0)
    out = tmp_path / "a folder & more" / "out"
    results = made_up_results(methods=2, videos=6)
    linked = write_reports(results, out, made_up_gallery(out, ["method_0", "method_1"], videos=1)).html
    text = linked.read_text(encoding="utf-8")
    assert "data:" not in text.split("<body>")[1]
    assert "do not travel with it" in text
    answer = browse(
        linked,
        PLAYER
        + """
        await settled(1);
        all("img").forEach((image) => { image.loading = "eager"; });
        await until(() => all("img").every((image) => image.complete), "images");
        return { widths: all("img").map((image) => image.naturalWidth), duration: videos[0].duration };
        """,
    )
    assert answer["widths"] == [64] * 6
    assert answer["duration"] == pytest.approx(13 / 6, abs=0.01)


@pytest.mark.parametrize("size", ["390,800", "1280,900"])
def test_the_page_is_never_wider_than_the_window(page: Path, browse: Browse, size: str) -> None:
    answer = browse(
        page,
        """
        all("details").forEach((element) => { element.open = true; });
        return [document.documentElement.scrollWidth, innerWidth];
        """,
        size,
    )
    assert answer[0] <= answer[1]


def test_a_page_with_one_method_and_nothing_else(tmp_path: Path, browse: Browse) -> None:
    bare = write_reports(made_up_results(methods=1, videos=1, costs=False), tmp_path / "out").html
    assert browse(bare, "return all('button.sort').length") == 0, "one row cannot be sorted"
