"""The tasks of the tour, in a database."""
