"""Every metric that Continuo's own processes export, by what it tells of.

Labels are bounded by what is declared (clusters, applications) or by the code (phases, verbs, routes); no label ever holds
an id, an owner or a user's text. Names of applications are on gauges alone. `orchestration` is NAMESPACE/NAME in one label:
a label `namespace` would be the scraped pod's own where Prometheus finds its targets in Kubernetes. `server` is an API
server: `management`, or NAMESPACE/CLUSTER as Cluster API calls it.
"""

from __future__ import annotations

from continuo.telemetry.metrics import Family

_OBJECT = ("orchestration",)
QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds of what should take milliseconds."""
REMOTE = (0.01, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0)
"""Seconds of a call to a cluster; few, since there is such a histogram for each cluster and verb."""
LONG = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0)
"""Seconds of what machines take."""

BUILD = Family("continuo_build_info", "gauge", "Always 1; the labels say what runs.", ("version", "revision", "part"))

# --- what is declared, and how it is: collected from caches at every scrape ---
ORCHESTRATIONS = Family("continuo_orchestrations", "gauge", "LowLevelOrchestrations.", ("phase",))
CLUSTERS = Family(
    "continuo_clusters", "gauge", "Clusters of all orchestrations.", ("phase", "provider", "tier", "kubernetes_type")
)
PROVIDERS = Family("continuo_providers", "gauge", "Clouds and other places that clusters come from.", ("type",))
LINKS = Family("continuo_links", "gauge", "Links between clusters.", ("phase",))
APPLICATIONS = Family("continuo_applications", "gauge", "Applications.", ("phase",))
COMPONENTS = Family("continuo_components", "gauge", "Components, by the cluster that runs them.", ("phase", "cluster"))
APPLICATION_READY = Family(
    "continuo_application_ready", "gauge", "Whether the application runs as declared.", (*_OBJECT, "application")
)
REQUIREMENT_MET = Family(
    "continuo_link_requirement_met", "gauge",
    "Whether the measured latency, jitter or bandwidth between an application's components is what its blueprint asks for.",
    (*_OBJECT, "application", "requirement", "kind"),
)  # fmt: skip
CLUSTER_INFO = Family(
    "continuo_cluster_info", "gauge", "Always 1; `cluster_id` is what the peers of a declared cluster call it.",
    (*_OBJECT, "cluster", "cluster_id"),
)  # fmt: skip
CLUSTER_READY = Family(
    "continuo_cluster_ready", "gauge", "Whether the cluster is ready as declared.", (*_OBJECT, "cluster")
)
CLUSTER_LOST = Family(
    "continuo_cluster_lost", "gauge", "Whether the cluster does not answer.", (*_OBJECT, "cluster")
)  # fmt: skip
NODES = Family(
    "continuo_cluster_nodes", "gauge", "Machines of the cluster, wanted and ready.",
    (*_OBJECT, "cluster", "role", "state"),
)  # fmt: skip
CPU = Family(
    "continuo_cluster_cpu_cores", "gauge", "CPU of the cluster's nodes, and what its pods asked for.",
    (*_OBJECT, "cluster", "state"),
)  # fmt: skip
MEMORY = Family(
    "continuo_cluster_memory_bytes", "gauge", "Memory of the cluster's nodes, and what its pods asked for.",
    (*_OBJECT, "cluster", "state"),
)  # fmt: skip
GPUS = Family(
    "continuo_cluster_gpus", "gauge", "GPUs of the cluster's nodes, and what its pods asked for.",
    (*_OBJECT, "cluster", "state"),
)  # fmt: skip
LINK_CONNECTED = Family(
    "continuo_link_connected", "gauge", "Whether the tunnel is there.", (*_OBJECT, "source", "target")
)
LINK_LATENCY = Family(
    "continuo_link_latency_seconds", "gauge", "The tunnel's last measured round trip.", (*_OBJECT, "source", "target")
)
LINK_JITTER = Family(
    "continuo_link_jitter_seconds", "gauge",
    "How much one round trip differs from the next, smoothed over sixteen as RFC 3550 does.",
    (*_OBJECT, "source", "target"),
)  # fmt: skip
LINK_BANDWIDTH = Family(
    "continuo_link_bandwidth_bps", "gauge",
    "Bits in a second that a transfer over the tunnel got, in the worse direction; where an application bounds it.",
    (*_OBJECT, "source", "target"),
)  # fmt: skip
POLICIES = Family("continuo_policies", "gauge", "Closed loops, by where they are in their round.", ("stage",))
LOOP_PAUSED = Family("continuo_loop_paused", "gauge", "Closed loops that somebody holds or has to approve.", ("scope",))

LEGACY = tuple(
    Family(f"{what}_num", "gauge", f"Use continuo_{new}: the number of {new}.", legacy=True)
    for what, new in (
        ("clusters", "clusters"), ("providers", "providers"), ("apps", "applications"), ("components", "components"),
    )
)  # fmt: skip

# --- the operator's work ---
RECONCILES = Family(
    "continuo_reconciles_total", "counter", "Looks at one object, by how they ended.", ("controller", "result")
)
RECONCILE_ERRORS = Family("continuo_reconcile_errors_total", "counter", "Looks that failed.", ("controller",))
RECONCILE_SECONDS = Family(
    "continuo_reconcile_duration_seconds", "histogram", "How long a look takes.", ("controller",), QUICK
)
QUEUE_DEPTH = Family("continuo_workqueue_depth", "gauge", "Objects that wait to be looked at.", ("controller",))
QUEUE_SECONDS = Family(
    "continuo_workqueue_queue_duration_seconds", "histogram", "How long they wait.", ("controller",), QUICK
)
QUEUE_RETRIES = Family(
    "continuo_workqueue_retries_total", "counter", "Looks that are tried again after an error.", ("controller",)
)
STAGE_SECONDS = Family(
    "continuo_loop_stage_duration_seconds", "histogram", "How long a stage of the closed loop takes.", ("stage",), QUICK
)
ESCALATIONS = Family(
    "continuo_loop_escalations_total", "counter", "Closed loops that stopped to ask a human, or gave up.", ("reason",),
    starts=(("approval",), ("stalled",)),
)  # fmt: skip
STALE_SECONDS = Family(
    "continuo_snapshot_age_seconds", "gauge",
    "For how long a cluster cannot be followed; 0 while it can, so that what is known of it is fresh.", ("server",),
)  # fmt: skip
CACHED = Family(
    "continuo_cached_objects", "gauge", "Objects in memory, by the API server that they are of.", ("server",)
)
API_SECONDS = Family(
    "continuo_api_request_duration_seconds", "histogram", "How long calls to API servers take.", ("server", "verb"),
    REMOTE,
)  # fmt: skip
API_ERRORS = Family(
    "continuo_api_request_errors_total", "counter", "Calls that were refused or not answered, by the error's reason.",
    ("server", "verb", "reason"),
)  # fmt: skip
PHASE_SECONDS = Family(
    "continuo_phase_duration_seconds", "histogram", "How long clusters, links and applications were in a phase.",
    ("item", "phase"), LONG,
)  # fmt: skip
TASKS = Family("continuo_tasks_total", "counter", "Tasks that ended.", ("operation", "outcome"))
TASK_SECONDS = Family(
    "continuo_task_duration_seconds", "histogram", "How long tasks take.", ("operation",), LONG
)  # fmt: skip
DECISIONS = Family(
    "continuo_decisions_total", "counter", "Decisions that were made and how they ended.", ("source", "op", "result")
)

# --- events ---
OPERATIONS = (
    "app.deploy", "app.leave", "app.rollback", "app.undeploy", "app.update", "cluster.create", "cluster.delete",
    "component.move", "component.scale", "link.establish", "link.remove", "link.repair", "package.install",
    "package.uninstall", "package.update",
)  # fmt: skip
"""What tasks do."""
EVENTS_PUBLISHED = Family("continuo_events_published_total", "counter", "Events that sinks took.", ("sink",))
EVENTS_BACKLOG = Family("continuo_events_backlog", "gauge", "Events that a sink has not taken yet.", ("sink",))
EVENTS_DROPPED = Family(
    "continuo_events_dropped_total",
    "counter",
    "Events that made room for others before every sink had them.",
    ("operation",),
    starts=tuple((operation,) for operation in OPERATIONS),
)

# --- HTTP ---
HTTP_SECONDS = Family(
    "continuo_http_request_duration_seconds", "histogram", "How long requests take.", ("route", "method", "status"),
    QUICK,
)  # fmt: skip
BLUEPRINT_PROBLEMS = Family(
    "continuo_blueprint_problems_total", "counter", "Problems that were found in blueprints.", ("code",)
)

# --- the edge, the market, the boards ---
SENSORS = Family("continuo_sensors", "gauge", "Sensors on offer, by what they measure.", ("type", "available"))
FLAVORS = Family("continuo_flavors", "gauge", "Flavors on offer.", ("type",))
CONTRACTS = Family("continuo_contracts", "gauge", "Contracts.", ("market", "state"))
BOARDS = Family("continuo_boards", "gauge", "Boards.", ("status",))

# --- readings on their way to who bought them ---
RELAY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
"""Seconds of a reading's way."""
_PATH = ("route", "target", "number")
RELAY_READINGS = Family("continuo_relay_readings_total", "counter", "Readings that came and were bought.")
RELAY_BYTES = Family("continuo_relay_bytes_total", "counter", "Their bytes.")
RELAY_DOUBLED = Family("continuo_relay_readings_doubled_total", "counter", "Readings that had come before.")
RELAY_UNSOLD = Family("continuo_relay_readings_unsold_total", "counter", "Readings that nobody has bought.")
RELAY_THINNED = Family("continuo_relay_readings_thinned_total", "counter", "Readings beyond the rate of a flow.")
RELAY_UNPROVEN = Family(
    "continuo_relay_readings_unproven_total", "counter",
    "Readings of devices for which no gateway had proved itself.",
)  # fmt: skip
RELAY_DELEGATIONS = Family(
    "continuo_relay_delegations", "gauge", "Devices for which a gateway has proved itself."
)  # fmt: skip
RELAY_MEMORY = Family("continuo_relay_memory_bytes", "gauge", "Memory of all readings that wait.")
RELAY_ROUTES = Family("continuo_relay_routes", "gauge", "Routes.")
RELAY_DELIVERED = Family(
    "continuo_relay_readings_delivered_total", "counter", "Readings that the target took.", _PATH
)  # fmt: skip
RELAY_DELIVERED_BYTES = Family(
    "continuo_relay_bytes_delivered_total", "counter", "Bytes of payload that the target took.", _PATH
)
RELAY_FAILED = Family("continuo_relay_attempts_failed_total", "counter", "Attempts that did not succeed.", _PATH)
RELAY_DEAD = Family("continuo_relay_readings_dead_total", "counter", "Readings that were given up.", _PATH)
RELAY_DROPPED = Family(
    "continuo_relay_readings_dropped_total", "counter", "Readings that the queue had no room for.", _PATH
)
RELAY_QUEUE = Family("continuo_relay_queue_readings", "gauge", "Readings that wait.", _PATH)
RELAY_QUEUE_BYTES = Family("continuo_relay_queue_bytes", "gauge", "Bytes of payload that wait.", _PATH)
RELAY_LATENCY = Family(
    "continuo_relay_latency_seconds", "histogram", "From when a reading came until the target had taken it.", _PATH,
    RELAY_BUCKETS,
)  # fmt: skip
RELAY = (
    RELAY_READINGS, RELAY_BYTES, RELAY_DOUBLED, RELAY_UNSOLD, RELAY_THINNED, RELAY_UNPROVEN, RELAY_DELEGATIONS,
    RELAY_MEMORY, RELAY_ROUTES, RELAY_DELIVERED, RELAY_DELIVERED_BYTES, RELAY_FAILED, RELAY_DEAD, RELAY_DROPPED,
    RELAY_QUEUE, RELAY_QUEUE_BYTES, RELAY_LATENCY,
)  # fmt: skip

# --- the hub of boards, and its networks ---
_PORT = ("network", "port")
HUB_BOARDS = Family("continuo_hub_boards", "gauge", "Boards that there are.")
HUB_ONLINE = Family("continuo_hub_boards_online", "gauge", "Boards that have a session.")
HUB_SESSIONS = Family("continuo_hub_sessions_open", "gauge", "Sessions, of newcomers too.")
HUB_SESSIONS_BEGUN = Family("continuo_hub_sessions_total", "counter", "Sessions that began.")
HUB_REFUSED = Family("continuo_hub_refused_total", "counter", "Peers that were turned away.")
HUB_CALLS = Family("continuo_hub_calls_total", "counter", "Calls to boards.")
HUB_PENDING = Family("continuo_hub_requests_pending", "gauge", "Requests that go on.")
HUB_NETWORK_REFUSED = Family(
    "continuo_hub_network_refused_total", "counter", "Ends of ports that were not let in."
)  # fmt: skip
HUB_REST = Family(
    "continuo_hub_rest_requests_total", "counter", "REST requests that ended.", ("method", "route")
)  # fmt: skip
HUB_PORT_CONNECTED = Family(
    "continuo_hub_port_connected", "gauge", "Whether the port's board end is there.", _PORT
)  # fmt: skip
HUB_PORT_FRAMES = Family(
    "continuo_hub_port_frames_total", "counter", "Frames from the board (in) and to it (out).", (*_PORT, "direction")
)
HUB_PORT_BYTES = Family(
    "continuo_hub_port_bytes_total", "counter", "Bytes from the board (in) and to it (out).", (*_PORT, "direction")
)
HUB_PORT_DROPPED = Family(
    "continuo_hub_port_dropped_total", "counter", "Frames that were dropped, by reason.", (*_PORT, "reason")
)
HUB = (
    HUB_BOARDS, HUB_ONLINE, HUB_SESSIONS, HUB_SESSIONS_BEGUN, HUB_REFUSED, HUB_CALLS, HUB_PENDING, HUB_NETWORK_REFUSED,
    HUB_REST, HUB_PORT_CONNECTED, HUB_PORT_FRAMES, HUB_PORT_BYTES, HUB_PORT_DROPPED,
)  # fmt: skip

STATE = (
    ORCHESTRATIONS, CLUSTERS, PROVIDERS, LINKS, APPLICATIONS, COMPONENTS, APPLICATION_READY, REQUIREMENT_MET,
    CLUSTER_INFO, CLUSTER_READY, CLUSTER_LOST, NODES, CPU, MEMORY, GPUS, LINK_CONNECTED, LINK_LATENCY, LINK_JITTER,
    LINK_BANDWIDTH, POLICIES, LOOP_PAUSED,
)  # fmt: skip

GROUPS: tuple[tuple[str, str, tuple[Family, ...]], ...] = (
    ("What is declared, and how it is", "operator", STATE),
    (
        "The operator's work", "operator",
        (RECONCILES, RECONCILE_ERRORS, RECONCILE_SECONDS, QUEUE_DEPTH, QUEUE_SECONDS, QUEUE_RETRIES, STAGE_SECONDS,
         ESCALATIONS, STALE_SECONDS, CACHED, API_SECONDS, API_ERRORS, PHASE_SECONDS, TASKS, TASK_SECONDS, DECISIONS),
    ),
    ("Events", "operator", (EVENTS_PUBLISHED, EVENTS_BACKLOG, EVENTS_DROPPED)),
    ("HTTP", "server", (HTTP_SECONDS, BLUEPRINT_PROBLEMS)),
    ("Sensors and contracts", "edge serve`, `continuo broker serve", (FLAVORS, SENSORS, CONTRACTS)),
    ("Readings of sensors", "relay", RELAY),
    ("Boards", "boards provider", (BOARDS,)),
    ("The hub of boards", "hub", HUB),
    ("Every process", "every part", (BUILD,)),
    ("Names of before", "operator --legacy-metrics", LEGACY),
)  # fmt: skip
