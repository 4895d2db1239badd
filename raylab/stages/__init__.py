"""One file a stage; the file's name is the stage's. A stage takes a model and leaves it trained."""
