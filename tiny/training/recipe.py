"""The training recipe: its stages, with their batches, lengths and learning rates."""

from __future__ import annotations

from dataclasses import dataclass

from uhd_edge.tiny.world.scenes import SINGLE, SLICED, World

# A picture with many objects. All their codes are large enough to be read in a single view.
MANY = World(sides=(448, 448), objects=(3, 6), fonts=(36, 40))
MANY_ASKED = (*["labelled"] * 6, *["code"] * 3, *["extreme"] * 2, *["count shapes"] * 2)
ASKED = ("code", "code", "labelled", "labelled", "count shapes", "count colours", "presence", "extreme", "describe")


@dataclass(frozen=True)
class Kind:
    """One kind of batch.

    `source` is `crowded` (pictures that train the tower alone), `symbols` (symbolic tokens that
    train the language model alone) or `pictures` (which train both). `count` is the number of
    views in a `crowded` batch, and the number of scenes drawn from `world` in the others.
    """

    source: str
    count: int
    compress: bool
    world: World = SINGLE
    asked: tuple[str, ...] = ASKED
    max_slices: int = 9
    text_share: float = 0.0


@dataclass(frozen=True)
class Stage:
    """A stage of the training. `mix` gives the share of steps for each kind of batch.

    `rate` is the learning rate of tower and connector, `text_rate` that of the language model.
    `seeing` is the weight of the losses of the tower's heads. `symbols` is the weight, within
    these, of the distance from the symbolic tokens. `decay` is the last fraction of the stage, in
    which the learning rates fall to zero. With `inserts`, the compressor is initialised from the
    layer before it when the stage begins.
    """

    name: str
    steps: int
    mix: dict[str, float]
    rate: float
    text_rate: float
    seeing: float = 1.0
    symbols: float = 1.0
    decay: float = 0.0
    inserts: bool = False


KINDS: dict[str, Kind] = {
    "text 4x": Kind("crowded", 32, compress=False, text_share=0.7),
    "crowded 4x": Kind("crowded", 40, compress=False, text_share=0.15),
    "text": Kind("crowded", 40, compress=True, text_share=0.5),
    "crowded": Kind("crowded", 40, compress=True, text_share=0.15),
    "symbols single": Kind("symbols", 24, compress=True, world=SINGLE),
    "symbols single 4x": Kind("symbols", 24, compress=False, world=SINGLE),
    "symbols sliced": Kind("symbols", 12, compress=True, world=SLICED),
    "symbols many": Kind("symbols", 24, compress=True, world=MANY, asked=MANY_ASKED, max_slices=1),
    "single": Kind("pictures", 32, compress=True, world=SINGLE),
    "single 4x": Kind("pictures", 16, compress=False, world=SINGLE),
    "sliced": Kind("pictures", 4, compress=True, world=SLICED),
    "sliced 4x": Kind("pictures", 2, compress=False, world=SLICED),
}

RECIPE: tuple[Stage, ...] = (
    Stage("seeing", 1500, {"text 4x": 0.6, "crowded 4x": 0.4}, rate=2e-3, text_rate=0.0, symbols=0.0),
    Stage(
        "reading",
        2000,
        {"symbols single": 0.35, "symbols single 4x": 0.1, "symbols sliced": 0.3, "symbols many": 0.25},
        rate=0.0,
        text_rate=2e-3,
    ),
    Stage(
        "compression",
        1200,
        {"text": 0.35, "crowded": 0.55, "crowded 4x": 0.1},
        rate=2e-3,
        text_rate=0.0,
        inserts=True,
    ),
    Stage(
        "joining",
        2400,
        {
            "single": 0.18,
            "single 4x": 0.05,
            "sliced": 0.2,
            "sliced 4x": 0.02,
            "text": 0.15,
            "crowded": 0.27,
            "symbols sliced": 0.06,
            "symbols many": 0.07,
        },
        rate=2e-3,
        text_rate=1e-3,
        seeing=0.5,
        decay=0.4,
    ),
)
