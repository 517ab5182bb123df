"""The routes, one module a group: thin shells that decode, ask the registry, and encode."""
