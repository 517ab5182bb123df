"""A table of any size through one version of one model: a plan of parts, and what does each.

`run.score` is the way in. No web, no engine but joblib's and Dask's, no reader of Parquet and no
client of S3 but pyarrow's.
"""
