"""The settings of every model in one place that imports no TensorFlow, so that reading a settings file stays fast."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, model_validator

Kind = Literal["blend", "linear", "halfway", "cross", "average", "trees", "ensemble"]
Choice = Literal["best", "blend", "linear", "halfway", "cross", "average", "trees", "ensemble"]


def by_audience(least: int, each: float, listeners: int, most: int) -> int:
    """How much a model trains on: with the listeners from some audience on, and never beyond the budget.

    >>> [by_audience(20_000, 2.0, listeners, 2_000_000) for listeners in (500, 50_000, 5_000_000)]
    [20000, 100000, 2000000]
    """
    return max(least, min(int(each * listeners), most))


class AlsSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of iALS."""

    factors: int = Field(128, ge=1, description="dimensions of a vector")
    iterations: int = Field(10, ge=1, description="pairs of half-steps")
    alpha: float = Field(30.0, gt=0, description="weight of one play beside a pair never played")
    log_counts: bool = Field(True, description="weigh alpha * log(1 + value) instead of alpha * value")
    unobserved: float = Field(1.0, gt=0, description="a0, the weight of every pair, heard or not")
    reg: float = Field(1.0, gt=0, description="pull towards zero of a row of mean frequency")
    reg_power: float = Field(0.0, ge=0, le=1, description="nu: 0 = the same for every row, 1 = by its frequency")


class TwoTowerSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of the two-tower model."""

    dims: int = Field(64, ge=2, description="dimensions of a vector, before the item bias is appended")
    hidden: int = Field(128, ge=1, description="width of the listener tower's hidden layer")
    epochs: int = Field(1, ge=1, description="passes over the examples; it starts from iALS")
    batch: int = Field(256, ge=1, description="examples a step")
    targets: int = Field(8, ge=1, description="targets of an example in one epoch, drawn anew each epoch")
    negatives: int = Field(2048, ge=1, description="shared negatives of a step")
    full_softmax: int = Field(5_000, ge=0, description="catalogs up to this size need no sampling")
    learning_rate: float = Field(1e-3, gt=0, description="Adam's peak rate; it falls linearly to zero")
    history_dropout: float = Field(0.5, ge=0, lt=1, description="share of a history left out while training")
    first_scale: float = Field(12.0, gt=0, description="e^t at the start")
    history: int = Field(200, ge=1, description="most tracks of a history, the heaviest")
    pull: float = Field(300.0, ge=0, description="L2 pull of a track's id embedding to the vector it started from")


class HistorySettings(BaseModel, frozen=True, extra="forbid"):
    """How a history is cut and weighed, and how training examples are taken from it."""

    length: int = Field(200, ge=1, description="most distinct tracks of a history")
    half_life: float = Field(50.0, gt=0, description="tracks after which a track's weight has halved")
    cuts: int = Field(40, ge=1, description="most training examples of a listener, the latest sessions first")
    examples: int = Field(
        20_000,
        ge=1,
        description="most training examples of a small audience, a hashed sample beyond; more pay with a larger",
    )
    examples_each: float = Field(
        2.0, ge=0, description="training examples a listener, where these are more than `examples`"
    )
    examples_most: int = Field(2_000_000, ge=1, description="most training examples of any audience: the budget")


class ApproximateSettings(BaseModel, frozen=True, extra="forbid"):
    """From which catalog on dense sources are searched approximately, and what an index must find to be used."""

    tracks: int | None = Field(
        None, ge=1, description="catalogs from this size on are searched approximately; null = always exactly"
    )
    recall: float = Field(0.95, gt=0, le=1, description="share of the exact best that an index finds at least")
    best: int = Field(300, ge=1, description="how many best that is asked of")
    sample: int = Field(200, ge=1, description="listeners it is asked for, a hashed sample of the fit")
    links: int = Field(24, ge=2, description="links of a track in the graph (HNSW's M)")
    build_breadth: int = Field(400, ge=1, description="tracks looked at while one is entered (ef_construction)")
    breadth: int = Field(1500, ge=1, description="tracks looked at in a search, at least (ef)")


class LinearSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of the linear ranker."""

    l2: float = Field(500.0, ge=0, description="pull of a weight to where it starts, in groups: added to their sum")
    towards: Literal["blend", "zero"] = Field("blend", description="where weights start and are pulled to")
    loss: Literal["any", "each"] = Field("any", description="share of the mass on any positive, or of each one")
    repeats: Literal["any", "each"] = Field("each", description="the same, where the list is of what was heard before")
    iterations: int = Field(200, ge=1, description="most steps of L-BFGS")
    group_power: float = Field(0.5, ge=0, le=1, description="a group weighs (its positives)^power")


class CrossSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of the cross ranker."""

    cross_layers: int = Field(2, ge=1, description="DCN v2 cross layers")
    hidden: tuple[int, ...] = Field((64, 32), description="widths of the dense layers behind them")
    epochs: int = Field(4, ge=1, description="passes over the groups, at least")
    steps: int = Field(400, ge=1, description="steps, at least: few groups are passed over more often, up to 30 times")
    learning_rate: float = Field(1e-3, gt=0, description="Adam's peak rate; it falls linearly to zero")
    batch_rows: int = Field(8192, ge=1, description="rows a step; groups are never cut")
    negatives: int = Field(150, ge=1, description="negatives kept of each group in each epoch, drawn anew")
    heads_weight: float = Field(0.3, ge=0, description="weight of the heads' loss beside the order's")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of hidden units left out while training")
    weight_decay: float = Field(1e-4, ge=0, description="L2 on kernels")


class TreesSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of the boosted trees; they need the optional dependency LightGBM."""

    rounds: int = Field(100, ge=1, description="trees")
    learning_rate: float = Field(0.05, gt=0, le=1, description="share of a tree's step that is taken")
    leaves: int = Field(15, ge=2, description="leaves a tree")
    least_rows: int = Field(500, ge=1, description="candidates a leaf holds at least")
    share_of_features: float = Field(0.7, gt=0, le=1, description="features that a tree may read, drawn anew for each")
    l2: float = Field(10.0, ge=0, description="L2 on what a leaf says")


class RankerSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of the ranker."""

    kind: Choice = Field(
        "linear",
        description="blend, linear, halfway (between these two), cross, average (of linear and cross), trees, ensemble (linear "
        "and trees), or the best of linear, cross and average; none is used where it cannot be shown to beat the blend",
    )
    examples: int = Field(
        500_000, ge=1, description="candidates learned from at most, about: beyond, a hashed share of negatives"
    )
    lists: int = Field(
        50_000,
        ge=1,
        description="lists learned from at most, about, of all nights: beyond, a hashed share of listeners",
    )
    label: Literal["listened", "completed", "saved", "returned"] = Field(
        "listened", description="what the order is for"
    )
    blend: str = Field("^f_blend$", description="regular expression: the features that blend sums")
    promote_tolerance: float = Field(
        0.05,
        ge=0,
        le=1,
        description="share of NDCG@50 that a new ranker may lack of the one it replaces or of the best single source",
    )
    calibration_share: float = Field(
        0.1, gt=0, lt=0.5, description="hashed share of listeners that calibrate the heads"
    )
    judged: int = Field(
        1_000_000,
        ge=1,
        description="candidates that rankers are compared on at most, about: whole lists, sampled by listener",
    )
    linear: LinearSettings = LinearSettings()
    cross: CrossSettings = CrossSettings()
    trees: TreesSettings = TreesSettings()


class SequenceSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of the sequence model."""

    dims: int = Field(64, ge=2, description="dimensions of a state, before the item bias is appended")
    layers: int = Field(2, ge=1, description="attention blocks")
    heads: int = Field(2, ge=1, description="attention heads; they divide dims")
    length: int = Field(200, ge=2, description="most listens a state looks back on")
    dropout: float = Field(0.2, ge=0, lt=1, description="share of activations left out while training")
    epochs: int = Field(30, ge=1, description="passes over the sequences")
    batch: int = Field(32, ge=1, description="sequences a step")
    positions: float = Field(
        0.5,
        gt=0,
        le=1,
        description="share of a step's targets that enter the loss, drawn anew; the softmax is the cost",
    )
    learning_rate: float = Field(1e-3, gt=0, description="Adam's peak rate; it falls linearly to zero")
    warm_up: int = Field(200, ge=0, description="steps over which the rate rises")
    cosine: bool = Field(
        False, description="score by the cosine of state and item at a learned temperature; for items of few plays each"
    )
    windows: int = Field(
        1_000_000, ge=1, description="most sequences of one epoch of a small audience, drawn anew each epoch"
    )
    windows_each: float = Field(0.3, ge=0, description="sequences a listener, where these are more than `windows`")
    windows_most: int = Field(1_000_000, ge=1, description="most sequences of an epoch, of any audience: the budget")
    negatives: int = Field(2048, ge=1, description="shared negatives of a step beyond full_softmax")
    full_softmax: int = Field(20_000, ge=0, description="catalogs up to this size need no sampling")
    weight_decay: float = Field(1e-5, ge=0, description="L2 on kernels")


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


class PreferenceSettings(BaseModel, frozen=True, extra="forbid"):
    """Preference tuning of the decoder: what makes a pair, how it is learned, and what the tuned decoder must show."""

    horizon: int = Field(
        1, ge=1, description="days after a night whose outcomes say what was preferred, one of `outcomes.horizons`"
    )
    days: int = Field(28, ge=1, description="dates of outcomes that are learned from, the newest")
    top: int = Field(
        3, ge=1, description="less preferred tracks of each preferred one: those the reference would rather have shown"
    )
    margins: tuple[float, ...] = Field(
        (1.0, 2.0), description="ascending ends of the buckets of reward differences; all buckets weigh alike"
    )
    rare: float = Field(
        4.0, ge=1, description="weight of a pair of a rare bucket at most, where that of all would be 1"
    )
    listeners: int = Field(20_000, ge=1, description="listeners whose outcomes are read at most, a hashed sample")
    pairs: int = Field(50_000, ge=1, description="pairs learned from at most, a hashed sample of each bucket")
    beta: float = Field(0.1, gt=0, description="how strongly the tuned decoder is held to the reference")
    epochs: int = Field(3, ge=1, description="passes over the pairs")
    batch: int = Field(64, ge=1, description="pairs a step")
    learning_rate: float = Field(3e-4, gt=0, description="Adam's peak rate; it falls linearly to zero")
    held: float = Field(0.3, gt=0, lt=1, description="hashed share of listeners that only the gate looks at")
    judged: int = Field(2000, ge=1, description="of them, listeners the gate looks at at most")
    least: int = Field(20, ge=2, description="of them, listeners below whom an interval is no evidence")
    best: int = Field(50, ge=1, description="tracks of a generated list that the gate measures")
    next: int = Field(20, ge=1, description="last listens of a listener that the list should hold")
    tolerance: float = Field(
        0.05, ge=0, description="share of the reference's figure that the tuned one may lose, interval included"
    )

    @model_validator(mode="after")
    def _ascending(self) -> PreferenceSettings:
        if list(self.margins) != sorted(set(self.margins)) or any(m <= 0 for m in self.margins):
            raise ValueError(f"margins {list(self.margins)} must be above 0 and ascend")
        return self
