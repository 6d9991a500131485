"""Where tasks run: in this process, or on a Dask cluster. The only importer of Dask. Import its modules by name."""
