"""Several workers of one server, as one: what each has counted is added up, and what one is told
to do all do. Where there is one process nothing of this is imported."""
