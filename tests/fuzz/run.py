"""`make fuzz`: each target is fuzzed for its part of the time, by atheris, beginning with its corpus.

What is found is written into a folder and shown; as a test it becomes a file of the corpus, or a row of `test_fuzz`.
Run as `python tests/fuzz/run.py --seconds 120`, with `--target NAME` for one of them. The exit code is 1 when something
was found.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
_MOST_BYTES = 2048
_LATE_SECONDS = 60
_ABOUT = {
    "broker": "reference_broker.broker",
    "client": "reference_broker.client",
    "tap": "interop.tap",
    "websocket": "reference_broker.net.websocket",
    "websocket_payloads": "reference_broker.net.websocket",
    "contract": "interop.drivers.contract",
    "scenario": "interop.scenario",
    "store_file": "reference_broker.store",
    "store_rows": "reference_broker.broker.keeping",
}
"""What a target is about: only there it is watched which way an input goes. The others are about the wire."""


def main() -> int:
    """Fuzz all targets one after the other, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=300, help="for all targets together (%(default)s)")
    parser.add_argument("--target", help="only this one")
    parser.add_argument("--found", type=Path, default=Path("compat/fuzz"), help="where findings go (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="the same inputs again, as in CI; 0 for new ones")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return _fuzz(options.target, options.seconds, options.seed, options.found)
    sys.path.insert(0, str(HERE))
    from fuzz_targets import TARGETS  # noqa: PLC0415  # inside, it is imported to be instrumented

    names = [options.target] if options.target else list(TARGETS)
    options.found.mkdir(parents=True, exist_ok=True)
    seconds = max(1, options.seconds // len(names))
    found = [name for name in names if not _passes(name, seconds, options.seed, options.found)]
    sys.stdout.write(f"{len(names)} targets, {seconds} s each: {', '.join(found) or 'nothing'} found\n")
    return 1 if found else 0


def _passes(name: str, seconds: int, seed: int, found: Path) -> bool:
    command = [sys.executable, __file__, "--inside", "--target", name, "--seconds", str(seconds)]
    command += ["--seed", str(seed), "--found", str(found)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=seconds + _LATE_SECONDS, env=environment,
        check=False,
    )  # fmt: skip
    last = next((line for line in reversed(done.stderr.splitlines()) if line.startswith("Done ")), "")
    sys.stdout.write(f"{name}: {'ok' if not done.returncode else 'FOUND'} {last}\n")
    if done.returncode:
        sys.stdout.write(done.stdout[-4000:] + done.stderr[-4000:])
    sys.stdout.flush()
    return not done.returncode


def _fuzz(name: str, seconds: int, seed: int, found: Path) -> int:
    import atheris  # noqa: PLC0415  # only where it is run: not every Python has a wheel

    sys.path.insert(0, str(HERE))
    with atheris.instrument_imports(include=[_ABOUT.get(name, "reference_broker.wire")]):
        from fuzz_targets import TARGETS  # noqa: PLC0415
    corpus = CORPUS / name
    atheris.Setup(
        [
            name, f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={_MOST_BYTES}", "-rss_limit_mb=1024",
            "-timeout=10", f"-artifact_prefix={found}/{name}-", str(found / "grown" / name), str(corpus),
        ],
        TARGETS[name],
    )  # fmt: skip
    (found / "grown" / name).mkdir(parents=True, exist_ok=True)
    corpus.mkdir(parents=True, exist_ok=True)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
