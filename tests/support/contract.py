"""What any Prometheus says to these queries: the real one and the fake alike."""

from __future__ import annotations

from typing import Final

CONTRACT: Final = (  # query, number, words of why there is none
    ("vector(0.25)", 0.25, ""),
    ("scalar(vector(7))", 7.0, ""),
    ("vector(0) / 0", None, "the value is NaN"),
    ("vector(1) / 0", None, "the value is +Inf"),
    ("absent_metric_of_nobody", None, "the query gives no data"),
    ('label_replace(vector(1), "a", "b", "", "") or vector(2)', None, "the query gives 2 series"),
    ("vector(1)[1m:1s]", None, "the query gives a matrix"),
    ("sum(", None, "Prometheus refuses the query"),
)
