"""The next values of series."""
