"""Run tasks in this process or on a Dask cluster.

No other package imports Dask. The modules of this package are its doors: import from them.
"""
