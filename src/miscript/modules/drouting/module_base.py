"""What the parts of module drouting need of the module: its parameters and its partitions.

Only for type checking; `__init__` puts the parts together.
"""

from __future__ import annotations

from ...exports import Module
from ...script.runtime import Run
from .loading import Options
from .parameters import DroutingParameters
from .partitions import Partition
from .sorting import Sorter


class PartitionedModule(DroutingParameters, Module):
    """The module as its parts see it."""

    partitions: dict[str, Partition]
    probing: bool

    def partition_for(self, name: str | None, function: str) -> Partition | None:
        """The partition that a script's function means; None, with a line in the log, when there is none."""
        raise NotImplementedError

    def tell_partition(self, run: Run, partition: Partition) -> None:
        """Write the name of the partition that `*` found to the variable of `partition_id_pvar`."""
        raise NotImplementedError

    def has_route(self, name: str) -> bool:
        """Whether the script has a `route[name]`."""
        raise NotImplementedError

    def sorter(self, algorithm: str) -> Sorter | None:
        """Who sorts by an algorithm that is not built in."""
        raise NotImplementedError

    def options(self) -> Options:
        """How tables are loaded."""
        raise NotImplementedError

    async def reload(self, partition: Partition, *, inherit: bool) -> None:
        """Load a partition anew.  Raises DatabaseError, LoadError and ReloadRefused."""
        raise NotImplementedError
