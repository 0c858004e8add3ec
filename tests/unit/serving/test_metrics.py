"""What is documented is what is counted."""

from volary.serving import families, refusal
from volary.serving.metrics import Metrics, Registry
from volary.serving.protocol import Rejected
from volary.serving.refusal import Internal, ModelFailed, Overloaded, TooLate


def test_every_family_and_no_other_is_documented() -> None:
    registry = Registry(lambda: 0.0)
    found = {line.split()[2] for line in registry.render().decode().splitlines() if line.startswith("# TYPE volary_")}
    assert found == {family.shown for family in families.FAMILIES}
    assert all(f"| `{name}` |" in families.page() for name in found)


def test_every_reason_is_documented() -> None:
    faults = [
        Internal(),
        ModelFailed(""),
        Overloaded("", 1),
        TooLate(),
        *(Rejected(status, "") for status in (400, 404, 413, 415, 418, 503)),
    ]
    assert {refusal.reason(fault) for fault in faults} == set(families.REASONS)


def test_an_unloaded_revision_leaves_nothing_behind() -> None:
    registry = Registry(lambda: 0.0)
    metrics = Metrics(registry, "fraud", "1", "r1")
    metrics.count(503)
    metrics.count_synthetic(200)
    metrics.count_error("overloaded")
    metrics.read_queue(lambda: 0)
    metrics.mark_loaded(loaded=True)
    assert 'revision="r1"' in registry.render().decode()
    metrics.drop()
    assert 'revision="r1"' not in registry.render().decode()
