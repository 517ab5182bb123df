"""One module a wire protocol, each two pure functions: `decode` bytes into an `InferenceRequest`,
`encode` an `InferenceResponse` into bytes.

Nothing here reads, writes, waits, or knows the framework; a test holds it to that. So a protocol
is tested as a table of (bytes, request), and can stand behind any shell.
"""
