"""From a base and an adapter to files that others run: merged, quantised, described, proven."""
