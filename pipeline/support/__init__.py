"""Tools that any package may use: vector instructions, prefetching, durable writes, text. Import its modules by name.
"""
