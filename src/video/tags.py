"""Colour tags: what the numbers in a file say about the meaning of its pixel values (ITU-T H.273)."""

from __future__ import annotations

from dataclasses import dataclass

UNKNOWN = "unknown"

# the names are FFmpeg's, the numbers those of H.273 (range: FFmpeg's)
_PRIMARIES = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    10: "smpte428",
    11: "smpte431",
    12: "smpte432",
    22: "ebu3213",
}
_TRANSFER = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    9: "log100",
    10: "log316",
    11: "iec61966-2-4",
    12: "bt1361e",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    17: "smpte428",
    18: "arib-std-b67",
}
_MATRIX = {
    0: "gbr",
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020nc",
    10: "bt2020c",
    11: "smpte2085",
    12: "chroma-derived-nc",
    13: "chroma-derived-c",
    14: "ictcp",
}
_RANGE = {1: "tv", 2: "pc"}


@dataclass(frozen=True)
class ColourTags:
    """The colour tags of a video, by FFmpeg's names; ``"unknown"`` where the file says nothing.

    Attributes:
        primaries: colour primaries, for example ``"bt709"`` or ``"bt2020"``.
        transfer: transfer characteristics, for example ``"bt709"``, ``"smpte2084"`` (PQ), ``"arib-std-b67"`` (HLG).
        matrix: matrix between RGB and YCbCr, for example ``"bt709"``, ``"smpte170m"`` (BT.601), ``"gbr"`` (none).
        range: ``"tv"`` (limited, 16 to 235) or ``"pc"`` (full, 0 to 255).
    """

    primaries: str = UNKNOWN
    transfer: str = UNKNOWN
    matrix: str = UNKNOWN
    range: str = UNKNOWN

    @classmethod
    def from_numbers(cls, primaries: int, transfer: int, matrix: int, range: int) -> ColourTags:
        """From the numbers that FFmpeg uses; a number without a name becomes its digits."""
        return cls(
            _name(_PRIMARIES, primaries, (0, 2)),
            _name(_TRANSFER, transfer, (0, 2)),
            _name(_MATRIX, matrix, (2,)),
            _name(_RANGE, range, (0,)),
        )

    def numbers(self) -> tuple[int, int, int, int]:
        """The numbers of primaries, transfer, matrix and range, as :meth:`from_numbers` takes them."""
        return (
            _number(_PRIMARIES, self.primaries, 2),
            _number(_TRANSFER, self.transfer, 2),
            _number(_MATRIX, self.matrix, 2),
            _number(_RANGE, self.range, 0),
        )


BT709 = ColourTags("bt709", "bt709", "bt709", "tv")


def _name(names: dict[int, str], number: int, unknown: tuple[int, ...]) -> str:
    return UNKNOWN if number in unknown else names.get(number, str(number))


def _number(names: dict[int, str], name: str, unknown: int) -> int:
    if name == UNKNOWN:
        return unknown
    return next(
        (number for number, known in names.items() if known == name), int(name) if name.isdecimal() else unknown
    )
