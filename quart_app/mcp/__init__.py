"""The models as tools of an agent: the Model Context Protocol, stateless, in JSON.

`messages.py` knows JSON-RPC, `revisions.py` which revision a message is of, `tools.py` what a tool
says of a model, `server.py` answers.
"""
