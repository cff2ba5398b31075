"""`python -m benchmarks`: all benchmarks of the script and of `mi()`; prints the table of docs/performance.md."""

from __future__ import annotations

from .script_costs import main

main()
