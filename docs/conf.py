"""Sphinx configuration."""

project = "Crossover"
author = "The Crossover authors"
extensions = ["myst_parser"]
html_theme = "furo"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
