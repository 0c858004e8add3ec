"""What the operator counts is what its list of metrics says, and what its reference page shows."""

from prometheus_client import Metric

from volary.common.reasons import Reason
from volary.controller.census import Census
from volary.controller.families import OF_MODELS, OF_THE_OPERATOR
from volary.controller.meters import Meters, Readings


def meters() -> Meters:
    made = Meters()
    streams = {"pods": 3.0}
    made.read(
        Readings(
            depth=lambda: 2, age=lambda: 1.5, sessions=lambda: 1, silence=lambda: streams, unproven=lambda: streams, leads=lambda: True
        )
    )
    made.add(Census(lambda: True))
    return made


def lines(made: Meters) -> list[str]:
    return made.render().decode().splitlines()


def test_every_family_of_the_list_is_exposed_and_no_other() -> None:
    families: dict[str, Metric] = {one.name: one for one in meters().collect() if not one.name.startswith("process_")}
    listed = {one.name: one for one in (*OF_THE_OPERATOR, *OF_MODELS)}
    assert {name: (one.type, one.documentation) for name, one in families.items()} == {
        name: (one.type, one.text) for name, one in listed.items()
    }


def test_gauges_are_read_when_somebody_asks() -> None:
    found = lines(meters())
    for line in (
        "volary_operator_queue_depth 2.0",
        "volary_operator_queue_age_seconds 1.5",
        "volary_operator_watch_sessions 1.0",
        'volary_operator_watch_silence_seconds{kind="pods"} 3.0',
        'volary_operator_watch_unproven_seconds{kind="pods"} 3.0',
        "volary_operator_leader 1.0",
    ):
        assert line in found


def test_counters_of_faults_are_there_before_the_first_fault() -> None:
    found = lines(meters())
    assert 'volary_operator_watch_deaf_total{kind="pods"} 0.0' in found
    assert 'volary_operator_reconciles_total{result="failed"} 0.0' in found


def test_preflights_by_result_and_reason() -> None:
    made = meters()
    for reason in (Reason.PREFLIGHT_PASSED, Reason.CREDENTIALS_REFUSED, Reason.STORAGE_UNREACHABLE, Reason.DISK_FULL):
        made.preflight(reason)
    assert [line for line in lines(made) if line.startswith("volary_operator_preflights_total{")] == [
        'volary_operator_preflights_total{reason="PreflightPassed",result="passed"} 1.0',
        'volary_operator_preflights_total{reason="CredentialsRefused",result="refused"} 1.0',
        'volary_operator_preflights_total{reason="StorageUnreachable",result="again"} 1.0',
        'volary_operator_preflights_total{reason="DiskFull",result="refused"} 1.0',
    ]
