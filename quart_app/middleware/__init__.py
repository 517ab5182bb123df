"""The layers around the app, each an ASGI middleware."""
