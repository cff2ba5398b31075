"""`python waiting_program.py ARGUMENT...`: the program `miscript`, with the module `waiting` in it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from extra_module import offered
from miscript.cli import main
from waiting_calls import Waiting

if __name__ == "__main__":
    with offered(Waiting):
        main()
