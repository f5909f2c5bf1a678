"""Where rows come from: files, hub data sets and data by name, turned into texts, series, splits and batches."""
