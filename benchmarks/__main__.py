"""`python -m benchmarks [NAME]...`: the benchmarks of docs/performance.md; without a name those of `make bench`.

`mi_http` is not among those, because it installs other servers first, nor are `sip_calls`, nor `drouting` and
`contacts`, which take two minutes, nor `redis`, which starts a server; `python -m benchmarks mi_http` runs one of them.
"""

from __future__ import annotations

import importlib
import sys

NAMES = ("script_costs", "mi_client", "traced", "one_shot", "sip_inside")
OTHERS = ("mi_http", "sip_calls", "drouting", "contacts", "redis")


def main() -> None:
    first = sys.argv[1:2]
    if first and first[0] in OTHERS:  # they have options of their own
        del sys.argv[1]
        names = first
    else:
        names = sys.argv[1:] or list(NAMES)
    for name in names:
        if name not in NAMES + OTHERS:
            raise SystemExit(f"no such benchmark: '{name}'; there are {', '.join(NAMES + OTHERS)}")
    for name in names:
        print(f"== {name}", flush=True)
        importlib.import_module(f".{name}", __package__).main()


main()
