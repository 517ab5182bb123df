"""Loaded models: which there are, and the way from a request to `Model.predict`."""
