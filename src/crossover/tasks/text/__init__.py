"""Labels and values of texts."""
