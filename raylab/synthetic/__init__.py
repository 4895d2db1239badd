"""Synthetic pretraining: tasks on sequences without meaning, generated as they are trained on (Wu, Li, Liang 2022)."""
