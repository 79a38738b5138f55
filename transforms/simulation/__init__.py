"""A simulated world of listening: a catalog, listeners with tastes, and the dirty log a service would write of them."""
