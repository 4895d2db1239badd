"""Families of tasks, one file each: head, batches, loss and scores. How their rows are read stands in raylab.data.families."""
