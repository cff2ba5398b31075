"""What a run, or the transaction of a request, has to do with a dialog."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ...sip.dialogs import Dialog, Direction, Leg, Matched

NAME: Final = "dialog"
"""Where runs and transactions keep their `Here`."""


@dataclass(slots=True)
class Here:
    """The dialog of a run.

    `direction` is that of its request, None where there is no request of the dialog; `cseq_before` the highest number
    that its receiver had seen before it.  `begins` tells the request that made the dialog, `loaded` a dialog that
    `load_dialog_ctx` chose.  `number` is the CSeq that the request came with, `sent` those that it was sent with
    (`numbers`), the last one at the end; 0 and none where it is no request of the dialog that came.
    """

    dialog: Dialog
    direction: Direction | None = None
    callee_tag: str = ""
    cseq_before: int = 0
    begins: bool = False
    loaded: bool = False
    number: int = 0
    sent: list[int] = field(default_factory=list)

    @property
    def receiver(self) -> Leg | None:
        """The end that the request goes to."""
        if self.direction is None:
            return None
        return Matched(self.dialog, self.direction, self.callee_tag).receiver
