"""The deployment files are valid for systemd, Dask, Kubernetes and containers, and name existing commands and settings.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from pipeline.execute.dask_settings import ALLOCATOR
from tests.cluster.places import DEPLOYMENT

UNITS = sorted((DEPLOYMENT / "systemd").iterdir())
needs_kubernetes = pytest.mark.skipif(
    importlib.util.find_spec("dask_kubernetes") is None or importlib.util.find_spec("jsonschema") is None,
    reason="needs dask-kubernetes and jsonschema")


def parsed(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOYMENT / name).read_text()))


# --- systemd -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    program = tmp_path / "bin"
    program.mkdir()
    for name in ("dask", "lookalike"):
        (program / name).symlink_to("/bin/true")
    for unit in UNITS:
        text = unit.read_text()
        (tmp_path / unit.name.replace("@.", "@cpu.")).write_text(text.replace("/opt/lookalike/bin", str(program)))
    units = [tmp_path / unit.name.replace("@.", "@cpu.") for unit in UNITS]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True,
                          check=False, env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"})
    ours = [line for line in done.stderr.splitlines() if "lookalike" in line]
    assert (done.returncode, ours) == (0, []), done.stderr


def test_what_must_not_stay_down_is_restarted_and_a_missed_night_made_up_for() -> None:
    text = {unit.name: unit.read_text() for unit in UNITS}
    assert set(text) == {"lookalike-scheduler.service", "lookalike-worker@.service", "lookalike-nightly.service",
                         "lookalike-nightly.timer", "lookalike-serve.service"}
    assert "\nRestart=always\n" in text["lookalike-serve.service"]
    for name in ("lookalike-scheduler.service", "lookalike-worker@.service"):
        assert "\nRestart=always\n" in text[name]
        assert "\nStartLimitIntervalSec=0\n" in text[name]
        assert "HOST=127.0.0.1 " in text[name]
    assert "\nPersistent=true\n" in text["lookalike-nightly.timer"]


# --- commands ------------------------------------------------------------------------------------------------------


def command_lines() -> list[tuple[str, list[str]]]:
    """Return every `dask` and `lookalike` command in the files, each with its place."""
    found = []
    for unit in UNITS:
        for start in re.findall(r"^ExecStart=/opt/lookalike/bin/((?:.*\\\n)*.*)$", unit.read_text(), re.MULTILINE):
            found.append((unit.name, start.replace("\\\n", " ").split()))
    for service, said in parsed("compose.yaml")[0]["services"].items():
        if "command" in said:
            found.append((f"compose {service}", said["command"]))
    for document in parsed("kubernetes.yaml"):
        for part in ("scheduler", "worker"):
            if part in document["spec"]:
                args = document["spec"][part]["spec"]["containers"][0]["args"]
                found.append((f"{document['metadata']['name']} {part}", args))
    return found


@pytest.mark.parametrize(("where", "words"), command_lines(), ids=[where for where, _ in command_lines()])
def test_commands_have_options_that_are_there(where: str, words: list[str]) -> None:
    program, name, *rest = words
    options = {word for word in rest if word.startswith("--")}
    if program == "lookalike":
        from pipeline.cli import lookalike as group

        helped = CliRunner().invoke(group, [name, "--help"]).output
    else:
        assert program == "dask"
        from distributed.cli import dask_scheduler, dask_worker

        helped = CliRunner().invoke({"scheduler": dask_scheduler, "worker": dask_worker}[name].main, ["--help"]).output
        assert {"--no-dashboard", "--dashboard-address"} <= options, "else it serves pages to all"
        assert rest[rest.index("--dashboard-address") + 1] == "127.0.0.1:0"
        assert name == "worker" or rest[rest.index("--protocol") + 1] == "tls"
        assert name == "scheduler" or rest[rest.index("--nthreads") + 1] == "1"
    known = {word.strip("[],") for word in re.split(r"[\s/]+", helped)}
    assert options <= known


# --- Dask ----------------------------------------------------------------------------------------------------------


def test_every_setting_is_one_that_dask_knows_and_is_explained() -> None:
    import distributed

    known = yaml.safe_load((Path(distributed.__file__).parent / "distributed.yaml").read_text())

    def check(said: dict[str, Any], there: Any, path: str) -> None:
        for key, value in said.items():
            assert key in there, f"{path}.{key}"
            if isinstance(value, dict):
                check(value, there[key], f"{path}.{key}")

    (settings,) = parsed("dask.yaml")
    environment = settings["distributed"]["nanny"].pop("pre-spawn-environ")  # any variable may be set
    assert environment == ALLOCATOR
    assert "pre-spawn-environ" in known["distributed"]["nanny"]
    check(settings, known, "")
    for line in (DEPLOYMENT / "dask.yaml").read_text().splitlines():
        assert line.endswith(":") or "#" in line, f"{line}: what for?"


@pytest.mark.parametrize("kind", ["readers", "gpu"])
def test_workers_end_before_slurm_ends_them(kind: str) -> None:
    from dask.utils import parse_timedelta

    (said,) = parsed("slurm.yaml")
    arguments = said[kind]["worker_extra_args"]
    lifetime, stagger = (parse_timedelta(arguments[arguments.index(name) + 1]) for name in ("--lifetime",
                                                                                            "--lifetime-stagger"))
    hours, minutes, seconds = map(int, said[kind]["walltime"].split(":"))
    assert lifetime + stagger < 3600 * hours + 60 * minutes + seconds


# --- Kubernetes ----------------------------------------------------------------------------------------------------


def schema_of(kind: str) -> dict[str, Any]:
    """Return the operator's own schema of a resource. It refers to the schema of a pod, which is not part of it."""
    import dask_kubernetes

    folder = Path(dask_kubernetes.__file__).parent / "operator" / "customresources"
    definition = yaml.safe_load((folder / f"{kind.lower()}.yaml").read_text())
    templates = yaml.safe_load((folder / "templates.yaml").read_text())
    (version,) = definition["spec"]["versions"]
    assert definition["spec"]["names"]["kind"] == kind

    def resolved(part: Any) -> Any:
        if isinstance(part, list):
            return [resolved(one) for one in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            where, name = part["$ref"].split("#/definitions/")
            return resolved(templates["definitions"][name]) if "templates.yaml" in where else {"type": "object"}
        one = {key: resolved(value) for key, value in part.items()}
        if "properties" in one and "additionalProperties" not in one:
            one["additionalProperties"] = False
        return one

    schema: dict[str, Any] = resolved(version["schema"]["openAPIV3Schema"])
    schema["properties"] |= {"apiVersion": {"const": "kubernetes.dask.org/v1"}, "kind": {"const": kind},
                             "metadata": {"type": "object"}}
    return schema


def check_model(said: Any, kind: str, path: str) -> None:
    """Check an object against the official client's model: names, types of values, and required fields."""
    from kubernetes.client import models

    if kind.startswith(("list[", "List[")):
        for one in said:
            check_model(one, kind[5:-1], path)
    elif kind.startswith(("dict(", "Dict[")):
        assert isinstance(said, dict), path
    elif hasattr(models, kind):
        model = getattr(models, kind)
        names = {there: (here, model.openapi_types[here]) for here, there in model.attribute_map.items()}
        for key, value in said.items():
            assert key in names, f"{path}.{key}"
            check_model(value, names[key][1], f"{path}.{key}")
        model(**{names[key][0]: value for key, value in said.items()})  # raises where something required is missing
    else:
        assert isinstance(said, {"str": str, "int": int, "bool": bool, "object": object}[kind]), path


@needs_kubernetes
def test_the_operator_accepts_the_resources() -> None:
    import jsonschema

    documents = parsed("kubernetes.yaml")
    assert [document["kind"] for document in documents] == ["DaskCluster", "DaskWorkerGroup"]
    for document in documents:
        jsonschema.validate(document, schema_of(document["kind"]))
        spec = document["spec"]
        for part in ("scheduler", "worker"):
            if part in spec:
                check_model(spec[part]["spec"], "V1PodSpec", part)
                assert spec[part]["spec"]["securityContext"]["runAsNonRoot"] is True
    check_model(documents[0]["spec"]["scheduler"]["service"], "V1ServiceSpec", "service")
    assert documents[1]["spec"]["cluster"] == documents[0]["metadata"]["name"]
    assert documents[1]["spec"]["worker"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"


@needs_kubernetes
def test_the_schema_would_refuse_another_resource() -> None:
    import jsonschema

    (cluster, _) = parsed("kubernetes.yaml")
    spec = cluster["spec"]
    for wrong in ({"worker": spec["worker"]}, {**spec, "gpu": {}},
                  {**spec, "worker": {**spec["worker"], "replicas": "many"}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**cluster, "spec": wrong}, schema_of("DaskCluster"))
    with pytest.raises(AssertionError, match="container"):
        check_model({"container": []}, "V1PodSpec", "worker")


# --- containers ----------------------------------------------------------------------------------------------------


def test_containers_do_not_run_as_root_nor_publish_ports() -> None:
    (compose,) = parsed("compose.yaml")
    text = (DEPLOYMENT / "Dockerfile").read_text()
    for name, service in compose["services"].items():
        assert service["user"] == "1000:1000", name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        assert service["build"]["target"] in re.findall(r"^FROM base AS (\w+)$", text, re.MULTILINE), name
    for stage in text.split("\nFROM base AS ")[1:]:
        assert "\nUSER lookalike\n" in stage
    for name in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE):
        for path in name.split():
            assert (DEPLOYMENT.parent / path).exists(), path
    assert json.loads(re.findall(r"^CMD (.*)$", text, re.MULTILINE)[0]) == ["lookalike", "--help"]
