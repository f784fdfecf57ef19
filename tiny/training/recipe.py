"""The training recipe: its stages, with their batches, lengths and learning rates."""

from __future__ import annotations

from dataclasses import dataclass, replace

from uhd_edge.tiny.training.seeing import CROWD, Crowd
from uhd_edge.tiny.world.scenes import HARD_SINGLE, HARD_SLICED, SINGLE, SLICED, World
from uhd_edge.tiny.world.views import VIEW_SIDE

# A picture with many objects. All their codes are large enough to be read in a single view.
HARD_MANY = World(sides=(448, 448), objects=(3, 5), fonts=(34, 40), code_lengths=(3, 5))
MANY_ASKED = (*["labelled"] * 6, *["code"] * 3, *["extreme"] * 2, *["count shapes"] * 2)
ASKED = ("code", "code", "labelled", "labelled", "count shapes", "count colours", "presence", "extreme", "describe")
SLICED_ASKED = (*ASKED, "code", "labelled", "extreme")
HARD_CROWD = Crowd((3, 5), largest=(24, 28, 32, 38, 40), text_sizes=(18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38))
# Rows and columns of crowded views. Half of them are square.
GRIDS = (*[(16, 16)] * 6, (12, 16), (16, 12), (12, 20), (20, 12), (16, 20), (20, 16))
SINGLES = (HARD_SINGLE, HARD_SINGLE, SINGLE)
SLICEDS = (HARD_SLICED, HARD_SLICED, SLICED)


@dataclass(frozen=True)
class Kind:
    """One kind of batch.

    `source` is `crowded` (pictures that train the tower alone), `symbols` (symbolic tokens that
    train the language model alone), `pictures` (which train both) or `views` (pictures whose views,
    all of one size, train the tower alone). `count` is the number of
    views in a `crowded` batch, and the number of scenes drawn in the others, from `worlds` in turn.
    `grids` are the rows and columns of crowded views. Pictures are cut into views of about
    `view_side` pixels a side.
    """

    source: str
    count: int
    compress: bool
    worlds: tuple[World, ...] = (SINGLE,)
    asked: tuple[str, ...] = ASKED
    max_slices: int = 9
    text_share: float = 0.0
    crowd: Crowd = CROWD
    grids: tuple[tuple[int, int], ...] = GRIDS
    view_side: int = VIEW_SIDE


@dataclass(frozen=True)
class Stage:
    """A stage of the training. `mix` gives the share of steps for each kind of batch.

    `rate` is the learning rate of tower and connector, `text_rate` that of the language model.
    `seeing` is the weight of the losses of the tower's heads. Within these, `symbols` is the weight of
    the distance from the symbolic tokens and, in crowded views, `tokens` that of spelling and of the
    image tokens. `codes` is the weight, when symbols are read, of the codes where their objects are
    named. `decay` is the last fraction of the stage, in which the learning rates
    fall to zero. With `inserts`, the compressor is initialised from the layer before it when the
    stage begins; with `speaks`, the connector is made as loud as the symbolic tokens are; with
    `lengthens`, its tokens for nothing are made longer. `share` is the stage's part of the time of a
    run that has a limit.
    """

    name: str
    steps: int
    mix: dict[str, float]
    rate: float
    text_rate: float
    seeing: float = 1.0
    tokens: float = 1.0
    symbols: float = 1.0
    codes: float = 0.0
    decay: float = 0.0
    inserts: bool = False
    speaks: bool = False
    lengthens: bool = False
    share: float = 0.25


KINDS: dict[str, Kind] = {
    "hard text 4x": Kind("crowded", 64, compress=False, text_share=0.7, crowd=HARD_CROWD),
    "hard crowded 4x": Kind("crowded", 64, compress=False, text_share=0.15, crowd=HARD_CROWD),
    "hard text": Kind("crowded", 64, compress=True, text_share=0.5, crowd=HARD_CROWD),
    "hard crowded": Kind("crowded", 64, compress=True, text_share=0.15, crowd=HARD_CROWD),
    "hard symbols single": Kind("symbols", 48, compress=True, worlds=SINGLES),
    "hard symbols single 4x": Kind("symbols", 48, compress=False, worlds=SINGLES),
    "hard symbols sliced": Kind("symbols", 24, compress=True, worlds=SLICEDS),
    "hard symbols sliced 4x": Kind("symbols", 12, compress=False, worlds=SLICEDS),
    "hard symbols many": Kind("symbols", 48, compress=True, worlds=(HARD_MANY,), asked=MANY_ASKED, max_slices=1),
    "hard single": Kind("pictures", 48, compress=True, worlds=SINGLES),
    "hard single 4x": Kind("pictures", 32, compress=False, worlds=SINGLES),
    "hard sliced": Kind("pictures", 12, compress=True, worlds=SLICEDS, asked=SLICED_ASKED),
    "hard sliced 4x": Kind("pictures", 8, compress=False, worlds=SLICEDS, asked=SLICED_ASKED),
}

# The large recipe's batches with fewer pictures: a CPU takes as long for a step as its batch is large, and what is
# learned at all is learned in some number of steps. Symbols are asked other questions, at first one kind alone.
FEW = {
    "text 4x": 16,
    "crowded 4x": 16,
    "text": 20,
    "crowded": 20,
    "symbols single": 8,
    "symbols single 4x": 6,
    "symbols sliced": 4,
    "symbols many": 5,
    "single": 20,
    "single 4x": 14,
    "sliced": 6,
    "sliced 4x": 4,
}
WORDS_ASKED = tuple(kind for kind in ASKED if kind not in ("code", "describe")) * 2
CODES_ASKED = (*["code"] * 5, *["labelled"] * 2, *["extreme"] * 2, "count shapes", "count colours", "presence")
SLICES_ASKED = (*["presence", "labelled", "extreme", "count shapes", "count colours"] * 2, *["code"] * 6)
KINDS |= {f"few {name}": replace(KINDS[f"hard {name}"], count=count) for name, count in FEW.items()}
KINDS |= {n: replace(KINDS[n], asked=CODES_ASKED) for n in KINDS if n.startswith("few symbols")}
KINDS["few words"] = replace(KINDS["few symbols single"], asked=WORDS_ASKED)
KINDS["few labels"] = replace(KINDS["few symbols many"], asked=("labelled",) * 8)
KINDS["few presence"] = replace(KINDS["few symbols many"], asked=("presence",) * 8)
KINDS["few counts"] = replace(KINDS["few symbols many"], asked=(*["count shapes"] * 5, *["extreme"] * 4, "presence"))
KINDS["few symbols sliced"] = replace(KINDS["few symbols sliced"], asked=SLICES_ASKED)
KINDS["few codes"] = replace(KINDS["few symbols many"], count=8, asked=(*["code"] * 6, *["labelled"] * 2, "presence"))

COMPRESSION_MIX = {"few text": 0.6, "few crowded": 0.4}
SETTLING_MIX = {"few single": 0.38, "few single 4x": 0.14, "few sliced": 0.38, "few sliced 4x": 0.1}

# For a GPU: the first plan's harder worlds, larger batches and more steps. Tower and language model learn side by
# side at first, so that the processes that draw pictures always have work.
LARGE: tuple[Stage, ...] = (
    Stage(
        "seeing and reading",
        2400,
        {
            "hard text 4x": 0.3,
            "hard crowded 4x": 0.2,
            "hard symbols single": 0.14,
            "hard symbols single 4x": 0.06,
            "hard symbols sliced": 0.12,
            "hard symbols sliced 4x": 0.05,
            "hard symbols many": 0.13,
        },
        rate=2e-3,
        text_rate=2e-3,
        symbols=0.0,
        share=0.25,
    ),
    Stage(
        "compression",
        1800,
        {
            "hard text": 0.28,
            "hard crowded": 0.4,
            "hard crowded 4x": 0.12,
            "hard symbols sliced": 0.1,
            "hard symbols many": 0.1,
        },
        rate=2e-3,
        text_rate=5e-4,
        inserts=True,
        share=0.25,
    ),
    Stage(
        "joining",
        1800,
        {
            "hard single": 0.14,
            "hard single 4x": 0.08,
            "hard sliced": 0.28,
            "hard sliced 4x": 0.1,
            "hard text": 0.06,
            "hard crowded": 0.14,
            "hard crowded 4x": 0.04,
            "hard symbols sliced": 0.09,
            "hard symbols many": 0.07,
        },
        rate=2e-3,
        text_rate=1e-3,
        seeing=0.5,
        decay=0.5,
        share=0.5,
    ),
)

# For a CPU: the same worlds. No loss is there before it can be learned: the question for a code comes after those whose
# answers are words, and tokens come after patches. Each of them, asked too early, kept back what comes before it. What
# carries a label, what is there at all and how many there are of a shape are asked alone, about many objects: beside
# other questions they were learned from single pictures, whose one or two objects leave little to find. Codes are read
# where their objects are named as long as symbols alone are read; descriptions come with the pictures. Tokens have to
# be near the symbolic ones, not just tell as much: with a weight of 1 they stayed at three quarters of the squared
# distance, too far for the reader. In the end those of empty views are made longer: INT8 errs as much in every view,
# which turns short tokens most.
SMALL: tuple[Stage, ...] = (
    Stage("words", 100, {"few words": 1.0}, 0.0, 3.5e-3, share=0.01),
    Stage("labels", 300, {"few labels": 1.0}, 0.0, 3.5e-3, share=0.02),
    Stage("presence", 300, {"few presence": 0.8, "few labels": 0.2}, 0.0, 3.5e-3, share=0.02),
    Stage("counts", 400, {"few counts": 0.75, "few labels": 0.25}, 0.0, 3.5e-3, share=0.02),
    Stage("codes", 800, {"few codes": 0.8, "few counts": 0.2}, 0.0, 3.5e-3, codes=1.0, share=0.05),
    Stage("slices", 500, {"few symbols sliced": 0.6, "few symbols many": 0.4}, 0.0, 3.5e-3, codes=1.0, share=0.05),
    Stage(
        "reading",
        1800,
        {
            "few symbols single": 0.2,
            "few symbols single 4x": 0.1,
            "few symbols sliced": 0.5,
            "few symbols many": 0.2,
        },
        rate=0.0,
        text_rate=3.5e-3,
        codes=1.0,
        decay=0.3,
        share=0.12,
    ),
    Stage("seeing", 500, {"few text 4x": 0.65, "few crowded 4x": 0.35}, 4e-3, 0.0, tokens=0.0, symbols=0.0, share=0.05),
    Stage("compression", 600, COMPRESSION_MIX, 3e-3, 0.0, tokens=0.0, symbols=0.0, inserts=True, share=0.05),
    Stage(
        "tokens",
        1300,
        {"few text": 0.4, "few crowded": 0.48, "few crowded 4x": 0.12},
        rate=2.5e-3,
        text_rate=0.0,
        symbols=20.0,
        speaks=True,
        share=0.11,
    ),
    Stage(
        "joining",
        2400,
        {
            "few single": 0.2,
            "few single 4x": 0.07,
            "few sliced": 0.28,
            "few sliced 4x": 0.05,
            "few text": 0.15,
            "few crowded": 0.15,
            "few symbols sliced": 0.1,
        },
        rate=2e-3,
        text_rate=1.5e-3,
        seeing=0.5,
        symbols=10.0,
        decay=0.5,
        share=0.46,
    ),
    Stage("settling", 200, SETTLING_MIX, 1e-3, 7e-4, seeing=0.5, symbols=0.0, decay=1.0, lengthens=True, share=0.04),
)

RECIPES = {"small": SMALL, "large": LARGE}
