"""The audit: common claims about RNNs and Transformers as data, settled by measurement or by counting.

A claim (`claim`, ``claims/*.toml``) names `experiments`, which measure curves (`evidence`), and one of the `rules`,
whose numbers are fixed beforehand and which turns the curves into a verdict. `run` carries an audit out.
"""
