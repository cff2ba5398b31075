"""Profiles: named groups of dialogs, with or without a value for each membership, and how many are in them.

Source: OpenSIPS manual, module dialog, "Dialog profiling".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .dialogs import Dialog


@dataclass(slots=True)
class Profile:
    """A profile; one without values has all memberships under "".  A dialog may be in it several times."""

    name: str
    has_value: bool
    counts: dict[str, int] = field(default_factory=dict)
    _members: dict[str, dict[Dialog, int]] = field(default_factory=dict)

    def add(self, dialog: Dialog, value: str) -> None:
        """Put a dialog into it."""
        key = self._key(value)
        members = self._members.setdefault(key, {})
        members[dialog] = members.get(dialog, 0) + 1
        self.counts[key] = self.counts.get(key, 0) + 1
        dialog.profiles.append((self.name, key))

    def remove(self, dialog: Dialog, value: str) -> bool:
        """Undo one membership; False when there is none."""
        key = self._key(value)
        members = self._members.get(key, {})
        if dialog not in members:
            return False
        dialog.profiles.remove((self.name, key))
        members[dialog] -= 1
        if not members[dialog]:
            del members[dialog]
        self.counts[key] -= 1
        if not self.counts[key]:
            del self.counts[key], self._members[key]
        return True

    def remove_all(self, dialog: Dialog) -> bool:
        """Undo all memberships of a dialog; False when there is none."""
        own = [value for name, value in dialog.profiles if name == self.name]
        for value in own:
            self.remove(dialog, value)
        return bool(own)

    def has(self, dialog: Dialog, value: str | None = None) -> bool:
        """Whether a dialog is in it, with any value when `value` is None."""
        if value is None or not self.has_value:
            return any(name == self.name for name, _ in dialog.profiles)
        return (self.name, value) in dialog.profiles

    def size(self, value: str | None = None) -> int:
        """How many memberships there are."""
        if value is None or not self.has_value:
            return sum(self.counts.values())
        return self.counts.get(value, 0)

    def dialogs(self, value: str | None = None) -> list[Dialog]:
        """The dialogs in it, each once, with any value when `value` is None."""
        if value is None or not self.has_value:
            return list(dict.fromkeys(dialog for members in self._members.values() for dialog in members))
        return list(self._members.get(value, ()))

    def _key(self, value: str) -> str:
        return value if self.has_value else ""


class Profiles(Mapping[str, Profile]):
    """All profiles by name, those without values first."""

    def __init__(self, without_value: str, with_value: str) -> None:
        """Both are lists of names with `;` between them.  A name may have `/s` or `/b` behind it, for sharing.

        Raises ValueError when a name comes twice.
        """
        self._by_name: dict[str, Profile] = {}
        self.shared: list[str] = []
        for text, has_value in ((without_value, False), (with_value, True)):
            for word in filter(None, (word.strip() for word in text.split(";"))):
                name, slash, _ = (part.strip() for part in word.partition("/"))
                if not name or name in self._by_name:
                    raise ValueError(f"'{name}' is no name, or comes twice")
                self._by_name[name] = Profile(name, has_value)
                if slash:
                    self.shared.append(name)

    def __getitem__(self, name: str) -> Profile:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def leave(self, dialog: Dialog) -> None:
        """Take a dialog out of all profiles."""
        for name, value in list(dialog.profiles):
            self._by_name[name].remove(dialog, value)
