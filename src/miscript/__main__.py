"""`python -m miscript`: the command line, where its program is not on the PATH."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    main(prog_name="miscript")
