"""An HTTP server in our own process: listening, connections, signals, the drain, the exit code."""
