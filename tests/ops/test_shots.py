"""Shot detection, held to the rules and to figures of PySceneDetect 0.7.2 for the same frames."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from framewright.core.errors import ConfigError
from framewright.ops.shots import AdaptiveDetector, ContentDetector, ContentScore, CutDetector, Frame


def flat(red: int, green: int, blue: int, height: int = 4, width: int = 6) -> Frame:
    return np.broadcast_to(np.array([red, green, blue], np.uint8), (height, width, 3)).copy()


def restless() -> Iterator[Frame]:
    """200 frames with jumps at irregular places, some in quick succession."""
    level = 0
    for n in range(200):
        jump = 90 if (n * n + 3 * n) % 17 == 0 or n in (60, 61, 63, 64, 66, 67, 150) else (n * 7) % 5
        level = (level + jump) % 251
        yield flat(level, level * 3 % 256, 40)


def cuts(detector: CutDetector, frames: Iterator[Frame]) -> list[int]:
    return [cut for frame in frames for cut in detector.push(frame)]


def judged(detector: CutDetector, scores: list[float]) -> list[int]:
    return [cut for number, score in enumerate(scores) for cut in detector.judge(number, score)]


def test_the_score_is_the_mean_change_of_hue_saturation_and_value() -> None:
    score = ContentScore()
    assert score.push(flat(50, 50, 50)) == 0
    assert score.push(flat(110, 110, 110)) == pytest.approx(60 / 3)
    # green (hue 60, saturation and value 255) after grey: 60, 255 and 145
    assert score.push(flat(0, 255, 0)) == pytest.approx((60 + 255 + 145) / 3)
    # red has the hues 0 and 179: not neighbours, in PySceneDetect
    assert score.push(flat(255, 0, 0)) == pytest.approx(60 / 3)
    assert score.push(flat(255, 0, 7)) > 179 / 3 - 2
    weighted = ContentScore(weights=(0, 0, 2))
    weighted.push(flat(50, 50, 50))
    assert weighted.push(flat(110, 110, 110)) == pytest.approx(60)


def test_large_frames_are_shrunk_to_256_pixels() -> None:
    frames = [np.random.default_rng(n).integers(0, 256, (90, 512, 3), np.uint8) for n in range(2)]
    full, small = ContentScore(size=None), ContentScore()
    for frame in frames:
        at_full, shrunk = full.push(frame), small.push(frame)
    assert shrunk < 0.8 * at_full  # noise is averaged
    assert small._before is not None
    assert small._before.shape == (45, 256, 3)


# what PySceneDetect 0.7.2 finds in these frames
@pytest.mark.parametrize(
    ("detector", "found"),
    [
        (ContentDetector(27, 0), [4, 14, 17, 34, 51, 63, 64, 65, 66, 67, 68, 89, 96, 99, 116, 124, 131, 133, 136, 154,
                                  167, 170, 191, 197]),
        (ContentDetector(27, 3), [4, 14, 17, 34, 51, 63, 68, 89, 96, 99, 116, 124, 131, 136, 154, 167, 170, 191, 197]),
        (ContentDetector(27, 3, "suppress"), [4, 14, 17, 34, 51, 63, 66, 89, 96, 99, 116, 124, 131, 136, 154, 167, 170,
                                              191, 197]),
        (ContentDetector(27, 6), [14, 34, 51, 63, 89, 96, 116, 124, 131, 154, 167]),
        (ContentDetector(27, 6, "suppress"), [14, 34, 51, 63, 89, 96, 116, 124, 131, 154, 167, 191, 197]),
        (ContentDetector(), [34, 51, 99, 116, 170, 191]),
        (ContentDetector(flashes="suppress"), [17, 34, 51, 66, 89, 116, 131, 154, 170, 191]),
        (AdaptiveDetector(3.0, 6), [14, 34, 48, 60, 82, 89, 96, 102, 116, 124, 131, 154, 167, 184, 191, 197]),
        (AdaptiveDetector(), [17, 34, 51, 82, 99, 116, 131, 154, 170, 191]),
        (AdaptiveDetector(1.5, 15, 1), [17, 34, 51, 68, 89, 116, 131, 154, 170, 191]),
    ],
)  # fmt: skip
def test_the_same_frames_give_the_same_cuts_as_pyscenedetect(detector: CutDetector, found: list[int]) -> None:
    assert cuts(detector, restless()) == found


def test_content_reaches_its_threshold_and_waits_for_the_shortest_shot() -> None:
    scores = [0.0] * 40
    scores[20] = 27.0
    scores[30] = 26.9
    assert judged(ContentDetector(27, 5), scores) == [20]
    early = [0.0] * 40
    early[4] = 99.0
    assert judged(ContentDetector(27, 5), early) == []
    assert judged(ContentDetector(27, 4), early) == [4]


def test_flashes_are_merged_into_their_last_or_suppressed_after_their_first() -> None:
    scores = [0.0] * 80
    for number in (20, 22, 25, 28, 31):
        scores[number] = 90.0
    # the flurry after the cut at 20 lasts from 22 to 31, longer than a shot
    assert judged(ContentDetector(27, 8), scores) == [20, 31]
    assert judged(ContentDetector(27, 8, "suppress"), scores) == [20, 28]
    # one that is shorter than a shot gives no cut, and swallows what follows until a flurry is long enough
    assert judged(ContentDetector(27, 12), scores) == [20]


def test_adaptive_forgives_a_pan_and_finds_a_cut_within_it() -> None:
    pan = [0.0] + [40.0] * 59
    assert judged(AdaptiveDetector(), pan) == []
    assert judged(ContentDetector(min_length=1, flashes="suppress"), pan)
    pan[30] = 130.0
    assert judged(AdaptiveDetector(), pan) == [30]
    # 3 times 40 is reached, 14.9 is too little whatever stands around it
    pan[30] = 119.0
    assert judged(AdaptiveDetector(), pan) == []
    still = [0.0] * 60
    still[30] = 14.9
    assert judged(AdaptiveDetector(), still) == []
    still[30] = 15.0
    assert judged(AdaptiveDetector(), still) == [30]


def test_the_first_and_last_frames_of_a_window_are_never_cuts() -> None:
    scores = [0.0] * 30
    scores[28] = 99.0
    assert judged(AdaptiveDetector(min_length=1), scores) == []
    scores[27] = 99.0
    scores[28] = 0.0
    assert judged(AdaptiveDetector(min_length=1), scores) == [27]


@pytest.mark.parametrize(
    "make",
    [
        lambda: ContentDetector(27, 6),
        lambda: ContentDetector(27, 6, "suppress"),
        lambda: AdaptiveDetector(1.5, 6, 3),
    ],
)
def test_cuts_are_told_within_the_look_ahead(make: type[CutDetector]) -> None:
    rng = np.random.default_rng(3)
    told = 0
    for _ in range(20):
        detector, latest = make(), 0
        for number, score in enumerate(rng.choice([0.0, 5.0, 60.0], 200, p=[0.6, 0.3, 0.1])):
            for cut in detector.judge(number, float(score)):
                assert max(latest + 1, number - detector.look_ahead) <= cut <= number
                latest, told = cut, told + 1
    assert told > 50


def test_wrong_options_and_frames_say_so() -> None:
    for wrong in (
        lambda: ContentDetector(threshold=300),
        lambda: ContentDetector(flashes="ignore"),  # type: ignore[arg-type]
        lambda: AdaptiveDetector(window=0),
        lambda: AdaptiveDetector(min_length=-1),
        lambda: ContentScore(weights=(0, 0, 0)),
        lambda: ContentScore(size=0),
    ):
        with pytest.raises(ConfigError):
            wrong()
    score = ContentScore()
    with pytest.raises(ValueError, match="uint8"):
        score.push(np.zeros((4, 4, 3), np.float32))  # type: ignore[arg-type]
    score.push(flat(1, 2, 3))
    with pytest.raises(ValueError, match="change their size"):
        score.push(flat(1, 2, 3, height=5))
