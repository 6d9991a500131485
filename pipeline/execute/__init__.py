"""Run tasks in this process or on a Dask cluster.

No other package imports Dask. Import its modules by name.
"""
