"""Where windows lie, and windows as 8-bit cutouts. Import its modules by name: only ``cutouts`` loads scipy."""
