"""How a run is spread over devices. In this version: the layout as a value, and its check."""
