"""``python -m framewright.pipeline.clips <tool> input=<video> out=<place> [key=value ...]``"""

from .command import main

if __name__ == "__main__":
    raise SystemExit(main())
