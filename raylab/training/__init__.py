"""The training core: the loop and what it needs. Knows torch, and that it may be one of several equal workers."""
