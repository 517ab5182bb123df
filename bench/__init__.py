"""Measurements of the server beside its peers and beside the bare servers that it runs on."""
