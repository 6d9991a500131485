"""Errors travel from workers to the client by pickle, and the command line turns them into exit codes."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from pipeline import errors
from pipeline.errors import PipelineError, Reason, SourceError

CLASSES = [
    item for item in vars(errors).values()
    if isinstance(item, type) and issubclass(item, PipelineError) and item is not SourceError
]


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_error_survives_pickle(cls: type[PipelineError], protocol: int) -> None:
    error = cls("corpus: is gone, make another")
    error.add_note("while indexing")

    back = pickle.loads(pickle.dumps(error, protocol))

    assert type(back) is cls
    assert str(back) == str(error) == "corpus: is gone, make another"
    assert back.args == error.args
    assert back.__notes__ == ["while indexing"]


@pytest.mark.parametrize("reason", Reason)
def test_source_error_keeps_its_reason_through_pickle(reason: Reason) -> None:
    back = pickle.loads(pickle.dumps(SourceError(reason, "a b.fil: cut short, try again")))

    assert type(back) is SourceError
    assert back.reason is reason
    assert back.message == "a b.fil: cut short, try again"
    assert str(back) == f"{reason.value}: a b.fil: cut short, try again"


def test_classes_say_who_must_act() -> None:
    codes = {cls.__name__: cls.exit_code for cls in [*CLASSES, SourceError]}

    assert codes == {
        "PipelineError": 1, "RunError": 1,
        "ConfigError": 2, "LabelError": 2, "EncoderError": 2, "PrecisionError": 2, "QueryError": 2, "ParameterError": 2,
        "CorpusNotFound": 2, "CorpusMismatch": 2,
        "SourceError": 3, "CorpusLocked": 4, "CorpusError": 5, "CorpusDamaged": 5,
        "SegmentDamaged": 5,
    }


@pytest.mark.parametrize(("cls", "builtin"), [
    (errors.ConfigError, ValueError), (errors.LabelError, ValueError),
    (errors.EncoderError, RuntimeError), (errors.QueryError, LookupError),
    (errors.RunError, RuntimeError), (errors.CorpusNotFound, FileNotFoundError), (errors.CorpusMismatch, ValueError),
])
def test_errors_are_also_the_builtin_one_would_expect(cls: type[PipelineError], builtin: type[Exception]) -> None:
    assert issubclass(cls, builtin)


def test_reasons_are_stable_codes() -> None:
    assert all(reason.name == reason.value for reason in Reason)
    assert {r for r in Reason if r.status == "skipped"} == {Reason.NOT_FILTERBANK, Reason.DUPLICATE, Reason.REMOVED}
    assert {r for r in Reason if r.may_heal} == {
        Reason.TRUNCATED, Reason.BUSY, Reason.GONE, Reason.PERMISSION, Reason.CRASHED,
        Reason.DAMAGED}
    assert {r for r in Reason if r.status == "busy"} == {Reason.BUSY, Reason.GONE}
    assert {r.status for r in Reason} == {"skipped", "busy", "failed"}


def test_the_documents_list_every_reason_as_the_code_does() -> None:
    text = (Path(__file__).parents[1] / "docs/howto/damage.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|(.*?)\| (.*?) \|$", text, re.MULTILINE)

    assert sorted(code for code, *_ in rows) == sorted(Reason)
    for code, meaning, again, remedy in rows:
        reason = Reason(code)
        assert (meaning, again.strip(), remedy) == (reason.meaning, "yes" if reason.may_heal else "", reason.remedy)
