"""Samples of a scrape, and sums of them."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parse_metrics(text: str) -> Samples:
    """The samples of a scrape, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def add_up(samples: Samples, metric: str, **labels: str) -> float:
    """The sum of a metric's samples with these labels."""
    wanted = set(labels.items())
    return sum(value for (name, found), value in samples.items() if name == metric and wanted <= found)
