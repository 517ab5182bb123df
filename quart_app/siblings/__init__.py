"""Workers of one server among themselves: what they ask each other, and what outlives one of them.

Nothing here knows what is asked or kept; both are bytes.
"""
