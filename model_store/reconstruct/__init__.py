"""What a pickle may have made: a table of what may be called, and empty objects for the rest.

`forms` says what a value may be, `row` what a row is; `plain`, `arrays`, `generators`, `compiled`
and `frames` hold the rows, `table` all of them; `blank` makes what has none.
"""
