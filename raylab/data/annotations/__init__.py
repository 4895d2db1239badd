"""One file an annotation of a corpus; the file's name is the annotation's."""
