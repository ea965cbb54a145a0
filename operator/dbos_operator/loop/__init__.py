"""One loop per system database: observe, decide, apply, report."""
