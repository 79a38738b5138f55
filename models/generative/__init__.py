"""Generative retrieval: tracks get semantic ids, and a small decoder generates the ids of what comes next.

`vectors` makes one vector of what is known of a track, `semantic_ids` quantises it, `trie` holds the ids of playable tracks,
`decoder` learns what follows, `beam` generates under the trie.
"""
