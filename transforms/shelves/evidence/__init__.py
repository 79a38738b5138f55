"""The kinds of evidence, one a file. A new kind is a new file, named here."""

from transforms.shelves.evidence import audience, dayparts, mixes, radio, releases

KINDS = (audience.EVIDENCE, dayparts.EVIDENCE, mixes.EVIDENCE, radio.EVIDENCE, releases.EVIDENCE)
