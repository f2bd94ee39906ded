"""What a running server tells of itself to Prometheus.

Nothing here is global: each program has its meters and its page. What the parts of the program
count for themselves is read when somebody asks (`sources`, `collector`); what has to be measured
where it happens, the length of things, goes through `meters`. `page` writes it all down.
"""
