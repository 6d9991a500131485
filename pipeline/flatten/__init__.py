"""From power to power over baseline: band shape, row gains and dead pixels are removed. Import its modules by name."""
