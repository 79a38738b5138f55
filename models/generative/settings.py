"""Settings of semantic ids and of the decoder; no TensorFlow is imported here."""

from __future__ import annotations

from pydantic import BaseModel, Field


class SemanticIdSettings(BaseModel, frozen=True, extra="forbid"):
    """How tracks' vectors become codes."""

    dims: int = Field(
        64, ge=2, description="dimensions of the vector that is quantised, the main directions of the views"
    )
    levels: int = Field(3, ge=1, le=8, description="codes of a track before the one that resolves collisions")
    codes: int = Field(
        256, ge=2, description="most codes of a level; the power of two nearest to sqrt(tracks), if less"
    )
    iterations: int = Field(10, ge=1, description="rounds of k-means a level")
    sample: int = Field(200_000, ge=1, description="tracks that the codebooks are fitted on at most, the first by hash")
    co_listening_weight: float = Field(1.0, ge=0, description="weight of the iALS vectors among the views")
    content_weight: float = Field(1.0, ge=0, description="weight of artists, album, tags and text")
    sequence_weight: float = Field(0.5, ge=0, description="weight of the sequence model's vectors")
    ridge: float = Field(10.0, gt=0, description="penalty of what fills in a view that a track lacks from its content")


class DecoderSettings(BaseModel, frozen=True, extra="forbid"):
    """The decoder, its training and its search."""

    dims: int = Field(64, ge=2, description="dimensions of a state, before the item bias is appended")
    layers: int = Field(1, ge=1, description="attention blocks")
    heads: int = Field(2, ge=1, description="attention heads; they divide dims")
    hidden: int = Field(128, ge=1, description="width of a code's layer")
    length: int = Field(50, ge=2, description="most listens a state looks back on, the width of a sliding window")
    dropout: float = Field(0.2, ge=0, lt=1, description="share of activations left out while training")
    id_dropout: float = Field(
        0.3,
        ge=0,
        lt=1,
        description="share of tracks whose own vector a step leaves out, so that codes and content can stand alone",
    )
    epochs: int = Field(1, ge=1, description="passes over the sequences")
    batch: int = Field(64, ge=1, description="windows a step")
    windows: int = Field(3072, ge=1, description="most windows of one epoch, drawn anew each epoch")
    learning_rate: float = Field(3e-3, gt=0, description="Adam's peak rate; it falls linearly to zero")
    warm_up: int = Field(10, ge=0, description="steps over which the rate rises")
    weight_decay: float = Field(1e-5, ge=0, description="L2 on kernels")
    negatives: int = Field(512, ge=1, description="shared negatives of a step beyond full_softmax")
    full_softmax: int = Field(2000, ge=0, description="catalogs up to this size need no sampling")
    generation: float = Field(1.0, ge=0, description="weight of the codes' loss beside the dense one")
    beams: int = Field(128, ge=1, description="prefixes that a search keeps at every level")
    most: int = Field(600, ge=1, description="tracks of these prefixes that are re-scored at most")
    cold: int = Field(
        50, ge=0, description="of them, tracks without a play that share all but the last code with a found one"
    )
