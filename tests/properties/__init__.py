"""Any pipeline, any row, any door: the answer is the pipeline's own, or a fault that names the column."""
