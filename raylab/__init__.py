"""raylab: search the choices between a base model and a finetuned one, and tell truth from luck."""

__version__ = "0.1.0"
