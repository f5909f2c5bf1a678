"""Labels of series."""
