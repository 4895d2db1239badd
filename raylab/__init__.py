"""raylab: search the choices between a base model and a finetuned one, and tell truth from luck.

study = raylab.Study("masking", dataset="triviaqa", trials=12)
result = study.run()
result.verdict, result.table()
raylab.load("NAME")
raylab.load_policy("PATH").collator(model)  # of transformers' Trainer; needs none of Ray, Optuna and MLflow
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raylab.app.notebook import Cost, Result, Study, load
    from raylab.errors import UserError
    from raylab.masking.learned.loaded import load_policy
    from raylab.models.loaded import load_model

__version__ = "0.1.0"
__all__ = ["Cost", "Result", "Study", "UserError", "load", "load_model", "load_policy"]


def __getattr__(name: str) -> Any:
    """What is used from Python is imported when it is asked for: `import raylab` stays light, on workers, too."""
    if name == "UserError":
        from raylab.errors import UserError

        return UserError
    if name == "load_model":
        from raylab.models.loaded import load_model

        return load_model
    if name == "load_policy":
        from raylab.masking.learned.loaded import load_policy

        return load_policy
    if name in __all__:
        from raylab.app import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module 'raylab' has no attribute {name!r}")
