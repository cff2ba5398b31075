"""`python -m fuzz [--seconds N] [TARGET]...`: run atheris on each target for a while (default: all, 30 s each).

Each target runs in a process of its own, so that one that breaks does not keep the others from running.  What is new
is kept in `--corpus` (default `.fuzz/`), and the next run starts from it.  The exit status is 1 if anything was found;
the bytes that did it are in `.fuzz/TARGET-crash-…`, and `python -m fuzz --replay FILE TARGET` shows what they do.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

SECONDS = 30
DOORS = "doors"
"""The target that is no parser but a whole host, attacked from outside (`fuzz.doors`)."""
MEMORY_MB = 1024
LONGEST = 4096
"""Bytes of the largest input."""
SLOWEST = 5
"""Seconds after which one input counts as found."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--corpus", type=Path, default=Path(".fuzz"))
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run one input, without atheris")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    if asked.replay is not None:
        from .targets import TARGETS

        for name in asked.targets:
            TARGETS[name].run(asked.replay.read_bytes())
        return 0
    if asked.here:
        return fuzz(asked.targets[0], asked.seconds, asked.corpus)
    from .targets import TARGETS

    known = (*TARGETS, DOORS)
    unknown = set(asked.targets) - set(known)
    if unknown:
        raise SystemExit(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    found = []
    for name in asked.targets or known:
        if name == DOORS:
            from .doors import main as attack_doors

            print(f"{name}: five attackers at the SIP doors of a host", flush=True)
            found += [name] if attack_doors(asked.seconds) else []
            continue
        command = [
            sys.executable,
            "-m",
            "fuzz",
            "--here",
            "--seconds",
            str(asked.seconds),
            "--corpus",
            str(asked.corpus),
        ]
        done = subprocess.run([*command, name], check=False, stderr=subprocess.PIPE, text=True, errors="replace")
        lines = done.stderr.splitlines()
        print(f"{name}: {lines[-1] if done.returncode == 0 and lines else 'FOUND SOMETHING'}", flush=True)
        if done.returncode != 0:
            print("\n".join(lines[-40:]), flush=True)
            found.append(name)
    return 1 if found else 0


def fuzz(name: str, seconds: int, corpus: Path) -> int:
    """Fuzz one target in this process; it does not return."""
    try:
        import atheris
    except ImportError:
        raise SystemExit("atheris is not installed: pip install 'miscript[fuzz]'") from None
    with atheris.instrument_imports(include=["miscript"]):
        from .targets import TARGETS
    target = TARGETS[name]
    inputs = corpus / name
    inputs.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (inputs / f"seed{number}").write_bytes(seed)
    words = corpus / f"{name}.dict"
    escaped = ("".join(f"\\x{byte:02x}" for byte in word) for word in target.words)
    words.write_text("".join(f'"{word}"\n' for word in escaped))
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        f"-timeout={SLOWEST}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-artifact_prefix={corpus / name}-",
        f"-dict={words}",
        "-print_final_stats=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(inputs)], target.run)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
