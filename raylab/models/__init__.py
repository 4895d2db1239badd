"""Architectures, from transformers, at raylab's scales or from a checkpoint; and what a step of them costs."""
