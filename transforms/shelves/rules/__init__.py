"""The rules of the shelves, one file a small family. A new rule is a new file, named here."""

from transforms.shelves.rules import acts, caps, heard, length, playable, shown

FAMILIES = (acts, caps, heard, length, playable, shown)
