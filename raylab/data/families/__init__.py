"""Families of tasks, one file each: what an example is, how rows become examples, and the datasets known by name."""
