"""The nodes, one module a family. Each module lists its own in `KINDS`."""
