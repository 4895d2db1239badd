"""raylab's benchmarks, a file each; raylab/app/bench.py says what such a file has."""

Compared = tuple[str, float, float]  # what is measured and what stands beside it; raylab's figure; the other one, or the goal
