"""The kinds of evidence, one a file. A new kind is a new file, named here."""

from transforms.shelves.evidence import audience, dayparts, mixes, next_session, radio, releases

KINDS = tuple(kind.EVIDENCE for kind in (audience, dayparts, mixes, next_session, radio, releases))
