"""Any pipeline, any row, any door: the pipeline's own answer, or a fault that names the column."""
