"""Comparisons of declared recipes: cases x arms x seeds, told as a table of paired contrasts. One file each in experiments/."""
