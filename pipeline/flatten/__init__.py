"""From power to power over baseline: row gains, band shape and dead pixels are removed. Import its modules by name."""
