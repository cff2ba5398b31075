"""What the module `dialog` offers to others.

```python
dialogs = dialog_service(self.services)          # None when the script does not load dialog
dialog = dialogs.current(run)
```

A `Dialog` has a `data` dict for whoever wants to keep something beside it (by module name).  What is to outlive the
host, where dialogs are kept in a database, goes there as a text: `dialogs.keep_with("acc", part)` in `init()`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from .sip.dialogs import Dialog, DialogState, Direction, MatchMode

if TYPE_CHECKING:
    from .script.runtime import Run
    from .services import Services

StateWatcher: TypeAlias = Callable[[Dialog, DialogState], None]
RequestWatcher: TypeAlias = "Callable[[Run, Dialog], None]"


class DialogPart(Protocol):
    """How a module writes what it keeps with a dialog (in `Dialog.data`), and reads it at the next start.

    What either raises is logged; the dialog goes on without it.
    """

    def written(self, dialog: Dialog) -> str | None:
        """What belongs to a dialog that has been answered, as text; None when that is nothing.

        Asked whenever the dialog is written: after each request in it, and when its state or its values change.
        """

    def read(self, dialog: Dialog, text: str) -> None:
        """Give a dialog that was read from a database back what `written` has told."""


class DialogService(Protocol):
    """Offered as `dialog`."""

    @property
    def parameter(self) -> str:
        """The name of the parameter that holds the id of a dialog, in Record-Route and in Contacts of ours."""

    def current(self, run: Run) -> Dialog | None:
        """The dialog that a route is about."""

    def match(self, run: Run, mode: MatchMode, did: str | None = None) -> bool:
        """Find the dialog that the request of a run is in; `did` is its id where the request told it."""

    def direction(self, run: Run) -> Direction | None:
        """The way of the message of a route in its dialog; None without one, and in failure routes."""

    def number_again(self, run: Run) -> int | None:
        """The CSeq number for the request of a route, in a dialog, that is about to be sent once more with changes.

        All that comes later in the dialog follows it.  None without a dialog, and for the request that makes it: of
        that one any number may be raised, the dialog goes by the one that its end has answered.
        """

    def create(self, run: Run) -> Dialog | None:
        """The dialog of the initial INVITE of a run, made now when there is none; None for any other request."""

    def watch(self, watcher: StateWatcher) -> None:
        """Call `watcher(dialog, old_state)` whenever a dialog is in another state.  What it raises is logged."""

    def watch_requests(self, watcher: RequestWatcher) -> None:
        """Call `watcher(run, dialog)` for each request that is found to be in a dialog, when it is found."""

    def keep_with(self, name: str, part: DialogPart) -> None:
        """Write what a module keeps with dialogs beside them, where they are kept in a database."""

    def terminate(self, dialog: Dialog, reason: str, extra_headers: str = "") -> bool:
        """End a dialog: BYEs both ways, a CANCEL before its answer.  False when it cannot be ended from here."""


def dialog_service(services: Services) -> DialogService | None:
    """The dialogs of this host; None when the script does not load `dialog`."""
    return cast("DialogService | None", services.find("dialog"))
