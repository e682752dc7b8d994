"""The examples, and the shape of the published figure, convert to the very bytes that are kept beside this test."""

from pathlib import Path

import pytest
import yaml

from continuo.orchestrator.render.exposure import urls
from continuo.orchestrator.settings import Settings
from continuo.resources.orchestration import AppPhase, AppStatus, ComponentStatus, Url, decode
from continuo.tosca.clusters import read_clusters, targets
from continuo.tosca.convert import Conversion, Options, convert_text
from continuo.tosca.deployment import documents, orchestration, to_yaml
from continuo.tosca.outputs import compute
from continuo.tosca.reader import read

EXAMPLES = Path(__file__).parents[2] / "examples"
GOLDEN = Path(__file__).parent / "golden"
INPUTS = {"vr-tour-creator": {"MONGO_INITDB_PWD": "PUkkwM7sgPYZgGZc"}, "figure": {"NODE_ENV": "beta"}}


def blueprint(name: str) -> Path:
    return GOLDEN / "figure.blueprint.yaml" if name == "figure" else EXAMPLES / f"{name}.yaml"


def convert(name: str) -> Conversion:
    path = blueprint(name)
    options = Options(owner="cyango-xr-developer", inputs=INPUTS.get(name, {}))
    conversion = convert_text(path.read_bytes(), options, file=path.name)
    assert conversion.errors == ()
    return conversion


@pytest.mark.parametrize("name", ["vr-tour-creator", "video-streaming", "edge-analytics", "figure"])
def test_conversion_is_byte_stable(name: str) -> None:
    """After a wanted change: delete the file, run the test twice, and read the difference."""
    golden = GOLDEN / f"{name}.yaml"
    text = to_yaml(documents(convert(name)))
    if not golden.exists():
        golden.write_text(text)
        pytest.fail(f"{golden.name} was missing; it is written now: read it and run again")
    assert text == golden.read_text()


@pytest.mark.parametrize("name", ["vr-tour-creator", "video-streaming", "edge-analytics", "figure"])
def test_the_result_is_a_low_level_orchestration(name: str) -> None:
    document = documents(convert(name))[-1]
    decoded = decode(document)
    assert [app.name for app in decoded.spec.apps] == [decoded.name]
    declared = {cluster.name for cluster in decoded.spec.clusters}
    used = {component.cluster_selector for app in decoded.spec.apps for component in app.components}
    assert used <= declared
    assert list(yaml.safe_load_all(to_yaml([document]))) == [document]


def test_the_vr_tour_creator_runs_where_the_scenario_has_it() -> None:
    app = convert("vr-tour-creator").app
    assert app is not None
    components = {component["name"]: component for component in app["components"]}
    where = {name: component["cluster-selector"] for name, component in components.items()}
    assert where == {
        "cyango-database": "green",
        "cyango-cloud-editor": "rose",
        "cyango-story-express": "rose",
        "cyango-backend": "rose",
        "cyango-worker": "rose",
    }
    reach = {
        (name, port["clusterPort"]): (port["is-public"], port["is-peered"])
        for name, component in components.items()
        for port in component.get("expose", ())
    }
    assert reach == {
        ("cyango-story-express", 443): (True, True),
        ("cyango-cloud-editor", 443): (True, True),
        ("cyango-backend", 32777): (False, True),
        ("cyango-database", 27017): (False, True),
    }
    with_certificate = {name for name, component in components.items() if "tls" in component}
    assert with_certificate == {"cyango-story-express", "cyango-cloud-editor"}
    assert convert("vr-tour-creator").links == (("green", "rose"),)


def test_no_password_is_in_the_orchestration() -> None:
    conversion = convert("vr-tour-creator")
    password = str(INPUTS["vr-tour-creator"]["MONGO_INITDB_PWD"])
    assert password not in to_yaml([orchestration(conversion)])
    assert [secret["metadata"]["name"] for secret in conversion.secrets] == [
        "cyango-cloud-studio-cyango-backend-env",
        "cyango-cloud-studio-cyango-database-env",
    ]


def test_the_clusters_file_of_the_example_fits_it() -> None:
    path = EXAMPLES / "vr-tour-creator.clusters.yaml"
    clusters, problems = read_clusters(path.read_bytes(), file=path.name)
    assert problems == () and [cluster["name"] for cluster in clusters] == ["green", "rose"]
    options = Options(owner="me", clusters=targets(clusters), inputs=INPUTS["vr-tour-creator"])
    conversion = convert_text((EXAMPLES / "vr-tour-creator.yaml").read_bytes(), options)
    document = orchestration(conversion, clusters=clusters, name="tours", namespace="media")
    assert decode(document).spec.clusters[0].datacenter == "porto-edge"
    assert (document["metadata"]["name"], document["metadata"]["namespace"]) == ("tours", "media")


OUTPUTS = {
    "vr-tour-creator": {
        "EditorCP_url": "https://cyango-cloud-editor.cyango-cloud-studio.apps.continuo.local/",
        "StoryCP_url": "https://cyango-story-express.cyango-cloud-studio.apps.continuo.local/",
        "cyango-database_cluster": "green",
    },
    "video-streaming": {
        "ServerCP_url": "tcp://ffserver.streaming.svc.cluster.local:8090",
        "ffserver_cluster": "rose",
    },
}


@pytest.mark.parametrize("name", sorted(OUTPUTS))
def test_the_outputs_are_known_once_it_runs(name: str) -> None:
    """With the addresses that the orchestrator gives, under the names that it makes of `EditorCP` and `ServerCP`."""
    blueprint = read(EXAMPLES.joinpath(f"{name}.yaml").read_bytes(), inputs=INPUTS.get(name, {})).blueprint
    app = decode(documents(convert(name))[-1]).spec.apps[0]
    assert blueprint is not None
    components = tuple(
        ComponentStatus(
            name=component.name,
            phase=AppPhase.RUNNING,
            cluster=component.cluster_selector,
            urls=tuple(Url(name=url.name, url=url.url) for url in urls(app, component, Settings())),
        )
        for component in app.components
    )
    status = AppStatus(name=app.name, phase=AppPhase.RUNNING, namespace=app.name, components=components)
    assert compute(blueprint, status) == OUTPUTS[name]
