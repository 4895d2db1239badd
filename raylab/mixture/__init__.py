"""A mixture of tasks is itself a task: in which proportions, in which batches, and how losses of different kinds add up."""
