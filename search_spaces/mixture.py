"""Which tasks should a model learn before its own, in which proportions, and how?

Searched: the tasks (`--sources`) and their proportions, either given one by one, where a task may be left out, or by size,
levelled by a temperature; how their losses are scaled; how much R3F steadies the model; for how long (a half or a quarter of
the finetuning: every trial pays for both), and how fast. After Aghajanyan et al. 2021 (MUPPET), who find proportions by size
the best of theirs: these are the baseline. Beside it stands the same finetuning with nothing learned before.

The sources come with those first whose words are most like the target's (after Lange et al. 2021; our reading), and the first
mixtures that are tried follow that order.
"""

from collections.abc import Sequence
from dataclasses import replace

from raylab.recipe import Recipe
from raylab.search.simplex import Simplex
from raylab.search.space import Chooser, Setting
from raylab.stages.finetune import Finetune
from raylab.stages.pre_finetune import PreFinetune
from raylab.training.optimizer import Optimization

SOURCES = True
BASELINE = "proportions by size"
OUT = 0.4  # of the draws, that a task is left out
RATES = {"random": (5e-4, 2e-3, 5e-3), "checkpoint": (2e-5, 1e-4, 5e-4)}  # lowest, usual, highest


def recipe(choose: Chooser, setting: Setting) -> Recipe:
    """Draw one recipe."""
    if choose.option("proportions", ("given", "by_size")) == "given":
        drawn = choose.simplex(simplex(setting))
        mixture = {name: weight for name, weight in drawn.items() if weight > 0}
        temperature = 1.0
    else:
        mixture, temperature = {}, choose.number("temperature", 1.0, 8.0, default=1.0, log=True)
    half = max(1, setting.finetune_steps // 2)
    lowest, usual, highest = RATES["checkpoint" if setting.base.pretrained else "random"]
    stage = PreFinetune(
        tasks=tuple(mixture) or setting.sources, weights=tuple(mixture.values()), temperature=temperature,
        loss_scaling=choose.option("loss_scaling", (True, False)),
        robustness=choose.option("robustness", (0.0, 0.1, 1.0)),
        steps=choose.option("steps", tuple(dict.fromkeys((half, max(1, half // 2))))), batch_size=setting.batch_size,
        optimization=Optimization(
            learning_rate=choose.number("learning_rate", lowest, highest, default=usual, log=True), warmup=0.1, decay=0.4
        ),
    )  # fmt: skip
    finetune = Finetune(
        steps=setting.finetune_steps, batch_size=setting.batch_size,
        optimization=replace(Finetune().optimization, learning_rate=usual),
    )  # fmt: skip
    return Recipe(base=setting.base, stages=(stage,), task=setting.task, finetune=finetune)


def simplex(setting: Setting) -> Simplex:
    """All proportions of the sources."""
    return Simplex.of("weights", setting.sources, out=OUT)


def family(recipe: Recipe) -> str:
    """How the proportions of the mixture come about; without one, that nothing is learned before."""
    if not recipe.stages:
        return "no pre-finetuning"
    (stage,) = recipe.stages
    assert isinstance(stage, PreFinetune)
    if stage.weights:
        return "proportions given"
    return BASELINE if stage.temperature == 1 else "proportions by size, levelled"


def baseline(recipe: Recipe, setting: Setting) -> Recipe:
    """The same recipe with all of the sources, in proportion to their sizes."""
    stage = replace(recipe.stages[0], tasks=setting.sources, weights=(), temperature=1.0)  # type: ignore[call-arg]
    return replace(recipe, stages=(stage,))


def plain(recipe: Recipe) -> Recipe:
    """The same finetuning with nothing learned before."""
    return replace(recipe, stages=())


def starts(setting: Setting) -> list[dict[str, str | float]]:
    """All sources by size, and alike; then the half and the one that are most like the target."""
    most_alike = (setting.sources, setting.sources[: (len(setting.sources) + 1) // 2], setting.sources[:1])
    return [{"proportions": "by_size"}, *({"proportions": "given", **_alike(setting, names)} for names in most_alike)]


def _alike(setting: Setting, names: Sequence[str]) -> dict[str, float]:
    """The choices that make these sources alike in proportion, without the others."""
    drawn = simplex(setting)
    return dict(zip(drawn.choices(), drawn.places(dict.fromkeys(names, 1.0)), strict=True))
