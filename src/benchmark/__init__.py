"""Benchmarks: a data set, a protocol, methods and published numbers; a table with its uncertainty."""

from ..inference.specs import method_from_spec
from .formats import plain_text
from .protocol import Protocol, load_protocol
from .report import write_reports
from .results import Results, read_results
from .runner import Benchmark, Outcome, RunOptions, run

__all__ = [
    "Benchmark",
    "Outcome",
    "Protocol",
    "Results",
    "RunOptions",
    "load_protocol",
    "method_from_spec",
    "plain_text",
    "read_results",
    "run",
    "write_reports",
]
