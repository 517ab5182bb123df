"""Long tables through a model, chunk by chunk."""
