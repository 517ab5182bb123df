"""What a pickle may have made: a table of what may be called, and empty objects for the rest.

`forms` says what a value may be, `row` what a row is. `plain`, `arrays`, `generators` and
`compiled` hold the rows, and of pandas `moments`, `extension_arrays`, `arrow_texts`, `indexes` and
`frames`. `table` holds all of them; `blank` makes what has none.
"""
