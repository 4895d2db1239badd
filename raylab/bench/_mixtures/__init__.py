"""A planted problem for searches of mixtures: which tasks help and which hurt is known, as they were made so."""
