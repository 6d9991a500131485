"""A complete evaluation: all parts, with all encoders whose weights are available."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from pipeline.config import EncoderConfig
from pipeline.encoders import ENCODERS, Encoder, fit, load_encoder, needs_projection
from pipeline.errors import ConfigError, EncoderError
from pipeline.evaluate import answers, depth, gating, metrics, notebook, published, real, refine, steps
from pipeline.evaluate.coverage import measure_coverage
from pipeline.evaluate.labelled_folder import POWER, read_labelled_folder
from pipeline.evaluate.labelled_scores import evaluate_labelled, labelled_windows
from pipeline.evaluate.report import RANDOM, Report
from pipeline.evaluate.rerank import RERANK_SETS, evaluate_rerank
from pipeline.evaluate.retrieval import evaluate_retrieval
from pipeline.evaluate.scales import evaluate_scales
from pipeline.evaluate.sets import INTERFERENCE_SETS, SETS, SetSpec, labelled_set, labelled_sets
from pipeline.evaluate.skies import PRODUCTS, simulate_sky
from pipeline.evaluate.speed import Speed, measure_speed
from pipeline.model import WindowGrid
from pipeline.significance import unrelated_vectors
from pipeline.store import corpus_encoder, is_fitted

Part = Literal["speed", "retrieval", "rerank", "published", "step", "depth", "scales", "answers", "refine", "gate",
               "notebook", "real"]
PARTS: tuple[Part, ...] = get_args(Part)
Tell = Callable[[str], None]

STEP_SIGNALS = 512
"""Number of signals of the part ``step``; four times as many in a full evaluation."""
SCALE_MEMBERS = 8
"""Patterns of each kind and size in the part ``scales``; three times as many in a full evaluation."""
ANSWERS, FULL_ANSWERS = (4000, 15, (2_000,)), (8000, 40, (2_000, 20_000))
"""Part ``answers``: single windows and emitters of each population, and the numbers of windows of corpora."""
CORPORA = 200
"""Number of corpora of each size in the part ``answers``."""
SPEED_SET = SetSpec("speed", signals=256, noise=768)
_SAMPLE = SetSpec("sample", "random", signals=512, noise=512)


def evaluate(
    names: Sequence[str] = (),
    *,
    weights: Mapping[str, str] | None = None,
    corpus: Path | None = None,
    parts: Sequence[Part] = (),
    full: bool = False, seed: int = 0,
    resnet50_weights: str = "", real_data: Path | None = None,
    tell: Tell = lambda _: None,
) -> Report:
    """Evaluate encoders, gate and grid.

    Parameters
    ----------
    names : sequence of str
        Encoders to measure, each as ``NAME`` or, with other weights, as ``NAME=FILE``. Default: all encoders whose
        weights are available; the report lists the others.
    weights : mapping
        Encoder → path of a weights file, to replace its default weights.
    corpus : path, optional
        Corpus whose projections are used, for encoders that need one. Default: projections fitted to simulated windows.
    parts : sequence
        Parts to measure, from :data:`PARTS`. Default: all parts that can be measured; the report lists the others.
    full : bool
        True: use the published numbers of windows. False: use fewer windows, which takes minutes.
    seed : int
        Seed of all simulated data.
    resnet50_weights : str
        Path of ResNet50's weights for the notebook. Empty: the file that Keras downloads.
    real_data : path, optional
        Folder with the three files of real signals (:mod:`pipeline.evaluate.real`), or of labelled windows
        (:mod:`pipeline.evaluate.labelled_folder`).
    tell : callable
        Called with a line of text before each step.

    Raises
    ------
    ConfigError
        An encoder is unknown, or setigen or the real data is missing and a requested part needs it.
    EncoderError
        A requested encoder cannot be loaded, or the notebook is requested and its weights cannot be loaded.
    """
    began = time.perf_counter()
    report = Report(seed, full)
    encoders = _load_encoders(names, weights or {}, corpus, report, tell)
    _measure_parts(_Run(report, encoders, full, seed, resnet50_weights, real_data, tell), parts)
    report.elapsed_s = time.perf_counter() - began
    return report


@dataclass(frozen=True, slots=True)
class _Run:
    """Settings and encoders that all parts share."""

    report: Report
    encoders: Mapping[str, Encoder]
    full: bool
    seed: int
    resnet50_weights: str
    real_data: Path | None
    tell: Tell

    def each(self, part: Part) -> Iterator[tuple[str, Encoder]]:
        """Yield the encoders, and announce each with ``tell``."""
        for name, encoder in self.encoders.items():
            self.tell(f"{part}: {name}")
            yield name, encoder


def _load_encoders(
    names: Sequence[str], weights: Mapping[str, str], corpus: Path | None, report: Report, tell: Tell
) -> dict[str, Encoder]:
    """Load the encoders in ``names``, or else all that can be loaded; the report lists the others."""
    unknown = [name for name in weights if name not in ENCODERS]
    if unknown:
        raise ConfigError(f"weights for {', '.join(unknown)}, but the encoders are {', '.join(ENCODERS)}")
    encoders = {}
    for asked in names or ENCODERS:
        kind, _, file = asked.partition("=")
        name = f"{kind}={Path(file).name}" if file else kind
        tell(f"loading {name}")
        try:
            encoders[name] = _load_encoder(kind, file or weights.get(kind, ""), corpus, report.seed, tell)
        except EncoderError as error:
            if names:
                raise
            report.not_measured[name] = str(error)
    report.encoders = {name: encoder.spec.key for name, encoder in encoders.items()}
    return encoders


def _load_encoder(name: str, weights: str, corpus: Path | None, seed: int, tell: Tell) -> Encoder:
    """Load an encoder. If it needs a projection, take that of the corpus, or fit one to windows of a separate set."""
    if not needs_projection(name):
        return load_encoder(name, weights=weights)
    if corpus is not None and is_fitted(corpus, name):
        return corpus_encoder(corpus, EncoderConfig(name, weights), WindowGrid())
    tell(f"fitting the projection of {name}")
    sample = labelled_set(_SAMPLE, seed).cutouts
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "projection.npz"
        fit(name, sample, weights=weights).save(path)
        return load_encoder(name, weights=weights, projection=path)


def _measure_parts(run: _Run, parts: Sequence[Part]) -> None:
    """Measure the requested parts, or else all that can be measured; the report lists the others."""
    for part in parts or PARTS:
        try:
            _MEASURE[part](run)
        except (ConfigError, EncoderError) as error:
            if parts:
                raise
            run.report.not_measured[part] = str(error)


def _measure_speed(run: _Run) -> None:
    cutouts = labelled_set(SPEED_SET, run.seed).cutouts
    for name, encoder in run.each("speed"):
        run.report.speed[name] = Speed(measure_speed(encoder.encode, cutouts))


def _measure_retrieval(run: _Run) -> None:
    run.tell("retrieval: simulating")
    sets = labelled_sets((*SETS, *INTERFERENCE_SETS), run.seed)
    for name, encoder in run.each("retrieval"):
        run.report.retrieval[name] = evaluate_retrieval(encoder.encode, sets)


def _measure_rerank(run: _Run) -> None:
    run.tell("rerank: simulating")
    sets = labelled_sets(RERANK_SETS, run.seed)
    for name, encoder in run.each("rerank"):
        run.report.rerank[name] = evaluate_rerank(encoder.encode, sets)


def _measure_published(run: _Run) -> None:
    run.tell("published: injecting")
    sets = published.published_sets(published.FULL if run.full else published.QUICK, run.seed)
    for name, encoder in run.each("published"):
        run.report.published[name] = published.evaluate_published(encoder.encode, sets, seed=run.seed)
    run.report.published[RANDOM] = published.evaluate_published(published.random_vectors, sets, seed=run.seed)


def _measure_step(run: _Run) -> None:
    cut, library = steps.step_sets(STEP_SIGNALS * (4 if run.full else 1), seed=run.seed)
    for name, encoder in run.each("step"):
        run.report.step[name] = steps.evaluate_steps(encoder.encode, cut, library)


def _measure_depth(run: _Run) -> None:
    power, labels = depth.depth_set(run.seed)
    for name, encoder in run.each("depth"):
        run.report.depth[name] = depth.evaluate_depth(encoder, power, labels)


def _measure_scales(run: _Run) -> None:
    for product in PRODUCTS:
        run.tell(f"scales: simulating {product.name}")
        sky = simulate_sky(product, SCALE_MEMBERS * (3 if run.full else 1), seed=run.seed)
        for name, encoder in run.each("scales"):
            run.report.scales.setdefault(name, []).extend(evaluate_scales(encoder.encode, sky))


def _measure_answers(run: _Run) -> None:
    run.report.coverage = measure_coverage(seed=run.seed)
    singles, emitters, sizes = FULL_ANSWERS if run.full else ANSWERS
    for name, encoder in run.each("answers"):
        unrelated = unrelated_vectors(encoder.spec.key)
        if unrelated is None:
            run.report.not_measured[f"answers: {name}"] = "the package has no unrelated signals for this encoder"
            continue
        sight = answers.simulate_sight(encoder.encode, singles, emitters, seed=run.seed)
        run.report.answers[name] = [one for size in sizes for one in answers.evaluate_answers(
            sight, unrelated, size, CORPORA, seed=run.seed)]
        if run.real_data is not None and (run.real_data / POWER).exists():
            windows = labelled_windows(read_labelled_folder(run.real_data), seed=run.seed)
            run.report.answers[name].append(answers.evaluate_labelled_answers(
                encoder.encode(windows.from_file), windows, unrelated))


def _measure_refine(run: _Run) -> None:
    sets = labelled_sets(refine.REFINE_SETS, run.seed)
    for name, encoder in run.each("refine"):
        run.report.refine[name] = [one for labelled in sets for one in refine.evaluate_refine(
            f"{labelled.spec.name}, SNR {labelled.spec.snr[0]:g}–{labelled.spec.snr[1]:g}",
            encoder.encode(labelled.cutouts), labelled.labels, seed=run.seed)]
        if run.real_data is not None and (run.real_data / POWER).exists():
            windows = labelled_windows(read_labelled_folder(run.real_data), seed=run.seed)
            run.report.refine[name] += refine.evaluate_refine(
                "labelled windows", encoder.encode(windows.from_file), windows.labels, seed=run.seed)


def _measure_gate(run: _Run) -> None:
    run.tell("gate")
    times = 8 if run.full else 1
    run.report.gate = gating.measure_operating_curve(100 * times, 65_536 * times, seed=run.seed)


def _measure_notebook(run: _Run) -> None:
    run.tell("notebook")
    with tempfile.TemporaryDirectory() as folder:
        one = notebook.notebook_set(Path(folder), notebook.FULL if run.full else notebook.QUICK, seed=run.seed)
        found = notebook.evaluate_notebook(one, run.resnet50_weights)
    run.report.notebook = {f"notebook, {metric}": scores for metric, scores in found.items()}
    for name, encoder in run.each("notebook"):
        run.report.notebook[name] = metrics.scores(metrics.rank(encoder.encode(one.cutouts), one.labels))


def _measure_real(run: _Run) -> None:
    if run.real_data is None:
        raise ConfigError("the folder of the small pieces of real data, or of labelled windows, is not named; name it "
                          "with --real DIR")
    if (run.real_data / POWER).exists():
        run.tell("real: reading labelled windows")
        windows = labelled_windows(read_labelled_folder(run.real_data), seed=run.seed)
        encoders = {name: encoder.encode for name, encoder in run.each("real")}
        run.report.labelled |= evaluate_labelled(encoders, windows)
        return
    one = real.read_real_set(run.real_data, seed=run.seed)
    for name, encoder in run.each("real"):
        run.report.real[name] = real.evaluate_real(encoder.encode, one)


_MEASURE: Mapping[Part, Callable[[_Run], None]] = {
    "speed": _measure_speed, "retrieval": _measure_retrieval, "rerank": _measure_rerank,
    "published": _measure_published, "step": _measure_step, "depth": _measure_depth,
    "scales": _measure_scales, "answers": _measure_answers, "refine": _measure_refine,
    "gate": _measure_gate, "notebook": _measure_notebook, "real": _measure_real,
}
