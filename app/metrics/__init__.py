"""The metrics of a running server, for Prometheus.

Nothing here is global: each program has its meters and its page. Counts that the parts keep
themselves are read at scrape time (`sources`, `collector`); durations and sizes, which must be
measured where they occur, go through `meters`. `page` renders it all.
"""
