"""Where windows are in a file, and their 8-bit cutouts. Import its modules by name: only ``cutouts`` loads scipy."""
