"""One file a synthetic task; the file's name is the task's."""
