"""Wrong blueprints and the sentence that each of them gets: data, for every layer that shows such sentences.

Each case changes one thing in a good blueprint. `line` is where the finding has to point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

GOOD = """\
tosca_definitions_version: tosca_simple_yaml_1_3
metadata:
  template_name: Shop
  template_author: dev
imports:
  - charity_custom_types_v13.yaml
topology_template:
  inputs:
    STAGE:
      type: string
      default: beta
      constraints:
        - valid_values: [beta, prod]
    DB_PASSWORD:
      type: string
      constraints:
        - min_length: 4
  node_templates:
    web:
      type: Charity.Component
      properties:
        name: web
        deployment_unit: K8S_POD
        placement_hint: CLOUD
        replicas: 2
        image: registry.example.org/shop/web:1.0
        environment:
          STAGE: { get_input: STAGE }
      requirements:
        - host: webNode
    webNode:
      type: Charity.Node
      node_filter:
        capabilities:
          - host:
              properties:
                - num_cpus: [{ greater_or_equal: 1 }]
                - mem_size: [{ greater_or_equal: 512 MB }]
          - deployment:
              properties:
                - cluster: [{ equal: rose }]
    db:
      type: Charity.Component
      properties:
        name: db
        deployment_unit: K8S_POD
        image: registry.example.org/shop/db:1.0
        environment:
          DB_PASSWORD: { get_input: DB_PASSWORD }
      requirements:
        - host: dbNode
    dbNode:
      type: Charity.Node
      node_filter:
        capabilities:
          - deployment:
              properties:
                - cluster: [{ equal: green }]
      requirements:
        - persistent_storage:
            node: disk
            relationship:
              type: tosca.relationships.AttachesTo
              properties:
                location: /data
    disk:
      type: Charity.PersistentStorage
      properties:
        name: disk
        size: 10 GB
        access: ReadWriteOnce
    visitor:
      type: Charity.External
      properties:
        name: visitor
    VLvisit:
      type: Charity.VirtualLink
      properties:
        name: VLvisit
    VLdata:
      type: Charity.VirtualLink
      properties:
        name: VLdata
      node_filter:
        capabilities:
          - network:
              properties:
                - latency: [{ less_than: 20 ms }]
    WebCP:
      type: Charity.ConnectionPoint
      properties:
        name: WebCP
        port: 8080
        protocol: HTTP
      requirements:
        - binding: { node: web }
        - link: { node: VLvisit }
        - link: { node: VLdata }
    VisitorCP:
      type: Charity.ConnectionPoint
      properties:
        name: VisitorCP
      requirements:
        - binding: { node: visitor }
        - link: { node: VLvisit }
    DbCP:
      type: Charity.ConnectionPoint
      properties:
        name: DbCP
        port: 27017
        protocol: TCP
        public: false
      requirements:
        - binding: { node: db }
        - link: { node: VLdata }
  outputs:
    WebCP_url:
      type: string
      value: { get_attribute: [WebCP, url] }
"""

INPUTS: Mapping[str, object] = {"DB_PASSWORD": "correct horse"}
CLUSTERS = (("green", "edge"), ("rose", "cloud"))


@dataclass(frozen=True)
class Case:
    """One wrong blueprint, with what is supplied beside it."""

    id: str
    text: str
    code: str
    line: int
    says: str
    """A part of the sentence."""
    inputs: Mapping[str, object] = field(default_factory=lambda: INPUTS)
    severity: str = "error"


def line_of(text: str, mark: str) -> int:
    """The line that contains `mark`, which has to be one only."""
    lines = [number for number, line in enumerate(text.splitlines(), 1) if mark in line]
    assert len(lines) == 1, f"{mark!r} is in lines {lines}"
    return lines[0]


def _case(
    id: str, old: str, new: str, code: str, says: str, at: str | int, severity: str = "error", **inputs: object
) -> Case:
    assert GOOD.count(old) == 1, f"{id}: {old!r} stands {GOOD.count(old)} times in the good blueprint"
    text = GOOD.replace(old, new)
    line = at if isinstance(at, int) else line_of(text, at)
    return Case(id, text, code, line, says, {**INPUTS, **inputs}, severity)


_NODE = "\n  outputs:\n"
_WEB_IMAGE = "        image: registry.example.org/shop/web:1.0\n"
_DEEP = "[" * 60 + "]" * 60
_BOMB = "\n".join(
    ["dsl_definitions:", "  a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 6)]
)

CASES: tuple[Case, ...] = (
    # --- YAML -------------------------------------------------------------------------------------------------------
    Case("empty", "", "yaml-syntax", 1, "The file is empty"),
    Case("not-utf8", "a: \udcff\n", "yaml-syntax", 1, "not UTF-8"),
    Case("control-character", "a: b\nc: \x01\n", "yaml-syntax", 2, "character that YAML does not allow"),
    Case("not-a-map", "- a\n- b\n", "bad-value", 1, "The blueprint must be a map, not a list"),
    Case("second-document", GOOD + "---\na: 1\n", "yaml-syntax", GOOD.count("\n") + 1, "second document"),
    Case("too-big", "# " + "x" * (1 << 20) + "\n" + GOOD, "yaml-limit", 1, "a blueprint may have 1 MiB"),
    _case("bad-indent", "  template_author: dev", "   template_author: dev", "yaml-syntax", "not valid YAML",
          4),
    _case("tab", "  template_author: dev", "\ttemplate_author: dev", "yaml-syntax", "not valid YAML", 4),
    _case("duplicate-key", "  template_author: dev\n", "  template_author: dev\n  template_name: Twice\n",
          "yaml-duplicate-key", "The key template_name is written twice; it stands in line 3", "Twice"),
    _case("too-deep", "  template_author: dev", f"  template_author: {_DEEP}", "yaml-limit",
          "more than 50 levels", 4),
    _case("alias-bomb", "metadata:\n", f"{_BOMB}\nmetadata:\n", "yaml-limit", "more than 10000 values",
          "a3: &a3"),
    _case("unknown-alias", "placement_hint: CLOUD", "placement_hint: *cloud", "yaml-syntax",
          "*cloud has no anchor",
          "*cloud"),
    _case("tag", "template_author: dev", "template_author: !!python/name:os.system dev", "yaml-syntax",
          "tag:yaml.org,2002:python/name:os.system is not allowed", "python/name"),
    # --- the document -----------------------------------------------------------------------------------------------
    _case("version", "tosca_simple_yaml_1_3", "tosca_2_0", "version-unsupported",
          "tosca_2_0 is not supported", 1),
    _case("no-version", "tosca_definitions_version: tosca_simple_yaml_1_3\n", "", "version-unsupported",
          "does not say which TOSCA version", 1),
    _case("import-url", "charity_custom_types_v13.yaml", "https://example.org/types.yaml",
          "import-not-allowed",
          "https://example.org/types.yaml cannot be imported", "https://"),
    _case("import-path", "charity_custom_types_v13.yaml", "../../etc/passwd", "import-not-allowed",
          "only the bundled CHARITY types can", "passwd"),
    _case("no-name", "  template_name: Shop\n", "", "missing-property", "needs a template_name", 3),
    _case("name-without-letters", "template_name: Shop", "template_name: '!!!'", "name-invalid",
          "must have a letter or digit", "!!!"),
    _case("section-typo", "metadata:\n", "metadatas: {}\nmetadata:\n", "unknown-key",
          "has no key named metadatas",
          "metadatas"),
    _case("policies", _NODE, "\n  policies: []\n  outputs:\n", "unsupported-section",
          "section policies is not used",
          "policies", "warning"),
    # --- inputs -----------------------------------------------------------------------------------------------------
    Case("input-missing", GOOD, "input-required", 14, "input DB_PASSWORD: it needs a value", {}),
    _case("input-undeclared", "{ get_input: STAGE }", "{ get_input: STAG }", "input-unknown",
          "web: there is no input named STAG", "STAG }"),
    _case("input-not-asked-for", "  template_author: dev\n", "  template_author: devs\n", "input-unknown",
          "input STAGGE: the blueprint has no such input", 9, STAGGE="beta"),
    _case("input-value", "      default: beta\n", "      default: alpha\n", "bad-value",
          "default must be beta or prod, not alpha", "alpha"),
    _case("input-supplied-value", "      default: beta\n", "", "bad-value",
          "input STAGE: STAGE must be beta or prod, not x",
          9, STAGE="x"),
    _case("input-type", "      type: string\n      default: beta", "      type: strng\n      default: beta",
          "unknown-type", "the type strng is not known", "strng"),
    _case("input-null", "{ get_input: STAGE }", "{ get_input: }", "input-null", "without naming one",
          "{ get_input: }",
          "warning"),
    # --- templates --------------------------------------------------------------------------------------------------
    _case("unknown-type", "type: Charity.External", "type: Charity.Extern", "unknown-type",
          "visitor: the type Charity.Extern is not known", "Charity.Extern"),
    _case("no-type", "    visitor:\n      type: Charity.External\n", "    visitor:\n", "missing-property",
          "visitor: it has no type", "    visitor:"),
    _case("scalar-template", _NODE, "\n    nothing: 5\n  outputs:\n", "bad-value",
          "nothing: a node template must be a map", "nothing"),
    _case("unknown-property", "replicas: 2", "replica: 2", "unknown-property",
          "web: properties has no property named replica",
          "replica: 2"),
    _case("unknown-template-key", "      requirements:\n        - host: webNode",
          "      requires:\n        - host: webNode",
          "unknown-key", "web: the template has no key named requires", "requires:"),
    _case("missing-property", "        name: disk\n        size: 10 GB\n", "        name: disk\n",
          "missing-property",
          "disk: it needs the property size", "    disk:"),
    _case("deployment-unit", "        deployment_unit: K8S_POD\n        placement_hint",
          "        deployment_unit: VM\n        placement_hint",
          "unsupported-unit", "web: the deployment unit VM is not supported; it must be K8S_POD or EXTERNAL",
          "VM"),
    _case("image-missing", _WEB_IMAGE, "", "image-missing",
          "web: a component with the unit K8S_POD needs an image",
          "    web:"),
    _case("image-with-space", "shop/web:1.0", "shop/web 1.0", "bad-value", "web: image must be a reference",
          "    web:"),
    _case("hint", "placement_hint: CLOUD", "placement_hint: SKY", "bad-value",
          "web: placement_hint must be CLOUD, EDGE or DEVICE, not SKY", "SKY"),
    _case("replicas-text", "replicas: 2", "replicas: two", "bad-value",
          "web: replicas must be a whole number, not two",
          "replicas: two"),
    _case("replicas-range", "replicas: 2", "replicas: 1000", "out-of-range",
          "web: replicas must be from 0 to 100, not 1000",
          "replicas: 1000"),
    _case("environment-list", "        environment:\n          STAGE: { get_input: STAGE }",
          "        environment: [STAGE]", "bad-value", "web: environment must be a map, not a list",
          "[STAGE]"),
    _case("variable-name", "STAGE: { get_input: STAGE }", "NODE ENV: x", "name-invalid",
          "web: the variable name NODE ENV must have only letters", "NODE ENV"),
    _case("attribute-too-early", "STAGE: { get_input: STAGE }", "STAGE: { get_attribute: [db, ip] }",
          "bad-value",
          "web: get_attribute is not known before deployment", "get_attribute: [db, ip]"),
    _case("name-conflict", "        name: db\n", "        name: WEB\n", "name-conflict",
          "db: its name becomes web, which is the name of web already", "    db:"),
    _case("name-digit", "        name: db\n", "        name: 3d\n", "name-invalid",
          "db: the name 3d must begin with a letter",
          "    db:"),
    _case("secret-in-clear", "DB_PASSWORD: { get_input: DB_PASSWORD }", "DB_PASSWORD: hunter2",
          "secret-in-clear",
          "db: the value of DB_PASSWORD stands in the blueprint", "hunter2", "warning"),
    _case("certificate-missing", "protocol: HTTP", "protocol: HTTPS", "certificate-missing",
          "WebCP: public port 8080 (HTTPS) has no certificate and is served as plain HTTP", "    WebCP:", "warning"),
    # --- node filters -----------------------------------------------------------------------------------------------
    _case("size-unit", "512 MB", "512 XB", "bad-unit",
          "webNode: mem_size must be a number with a unit, not 512 XB", "512 XB"),
    _case("rate-unit", "- latency: [{ less_than: 20 ms }]", "- bandwidth: [{ greater_or_equal: 8 mbps }]",
          "bad-unit",
          "VLdata: bandwidth must be a number with a unit, not 8 mbps", "8 mbps"),
    _case("bandwith", "- latency: [{ less_than: 20 ms }]", "- bandwith: [{ greater_or_equal: 8 Mbps }]",
          "unknown-property", "VLdata: network says bandwith; it is read as bandwidth", "bandwith",
          "warning"),
    _case("filter-property", "num_cpus:", "cores:", "unknown-property",
          "webNode: host has no property named cores", "cores:"),
    _case("filter-capability", "          - host:\n", "          - hosts:\n", "unknown-key",
          "webNode: capabilities has no key named hosts", "hosts:"),
    _case("filter-operator", "num_cpus: [{ greater_or_equal: 1 }]", "num_cpus: [{ at_least: 1 }]",
          "unknown-key",
          "webNode: at_least is not a constraint", "at_least"),
    _case("filter-range", "num_cpus: [{ greater_or_equal: 1 }]", "num_cpus: [{ in_range: [4, 1] }]",
          "out-of-range",
          "webNode: in_range begins at 4, above its end 1", "in_range"),
    _case("filter-contradiction", "num_cpus: [{ greater_or_equal: 1 }]",
          "num_cpus: [{ greater_or_equal: 4 }, { less_or_equal: 2 }]", "out-of-range",
          "webNode: num_cpus cannot be at least 4 and at most 2", "num_cpus"),
    _case("cluster-unknown", "equal: green", "equal: grean", "cluster-unknown",
          "dbNode: the cluster grean is not known; known are green, rose", "grean"),
    _case("datacenter-unknown", "- cluster: [{ equal: green }]", "- datacenter: [{ equal: porto }]",
          "datacenter-unknown",
          "dbNode: the data centre porto is not known", "porto"),
    # --- requirements -----------------------------------------------------------------------------------------------
    _case("host-unknown", "- host: webNode", "- host: webNod", "target-unknown",
          "web: host points to webNod, which is not in the blueprint", "- host: webNod"),
    _case("host-wrong-type", "- host: webNode", "- host: VLdata", "target-wrong-type",
          "web: host points to VLdata, which is a Charity.VirtualLink; it must be a Charity.Node",
          "- host: VLdata"),
    _case("requirement-unknown", "- host: webNode", "- hosted: webNode", "unknown-key",
          "web: requirements has no key named hosted", "hosted"),
    _case("requirement-map", "        - host: webNode", "        host: webNode", "bad-value",
          "web: requirements must be a list, not a map", "        host: webNode"),
    _case("storage-location", "location: /data", "location: data", "bad-value",
          "dbNode: location must be an absolute path", "location: data"),
    _case("storage-nowhere", "              properties:\n                location: /data\n", "",
          "missing-property",
          "dbNode: persistent_storage needs a location", "            node: disk"),
    _case("storage-empty", "size: 10 GB", "size: 0 GB", "out-of-range",
          "disk: size must be more than nothing", "0 GB"),
    _case("storage-access", "access: ReadWriteOnce", "access: everyone", "bad-value",
          "disk: access must be ReadWriteOnce",
          "everyone"),
    # --- connection points and links -----------------------------------------------------------------------------------
    _case("binding-missing", "        - binding: { node: db }\n", "", "binding-missing",
          "DbCP: a connection point needs the requirement binding", "    DbCP:"),
    _case("binding-twice", "        - binding: { node: db }\n",
          "        - binding: { node: db }\n        - binding: { node: visitor  }\n",
          "binding-multiple", "DbCP: a connection point is bound to one component only", "visitor  }"),
    _case("binding-to-link", "- binding: { node: db }", "- binding: { node: VLdata  }", "target-wrong-type",
          "it must be a Charity.Component or Charity.External", "VLdata  }"),
    _case("link-unknown", "        - binding: { node: db }\n        - link: { node: VLdata }",
          "        - binding: { node: db }\n        - link: { node: VLdat }", "target-unknown",
          "DbCP: link points to VLdat, which is not in the blueprint", "VLdat }"),
    _case("link-dangling", "        - binding: { node: db }\n        - link: { node: VLdata }",
          "        - binding: { node: db }", "link-dangling",
          "VLdata: one connection point is on this virtual link",
          "    VLdata:", "warning"),
    _case("port-range", "port: 27017", "port: 70000", "out-of-range",
          "DbCP: port must be from 1 to 65535, not 70000", "70000"),
    _case("protocol", "protocol: TCP", "protocol: SCTP", "bad-value",
          "DbCP: protocol must be TCP, UDP, HTTP or HTTPS, not SCTP",
          "SCTP"),
    _case("public-without-port", "        port: 27017\n        protocol: TCP\n        public: false\n",
          "        public: true\n",
          "public-without-port", "DbCP: a public connection point needs a port", "public: true"),
    _case("public-maybe", "public: false", "public: maybe", "bad-value",
          "DbCP: public must be true or false, not maybe",
          "maybe"),
    _case("port-conflict", _NODE,
          "\n    Web2CP:\n      type: Charity.ConnectionPoint\n"
          "      properties: { name: Web2CP, port: 8080, protocol: TCP }\n"
          "      requirements: [{ binding: web }]\n  outputs:\n",
          "port-conflict", "Web2CP: port 8080 (TCP) of web is taken by WebCP already", "    Web2CP:"),
    _case("public-port-conflict", _NODE,
          "\n    GameCP:\n      type: Charity.ConnectionPoint\n"
          "      properties: { name: GameCP, port: 7000, protocol: UDP, public: true }\n"
          "      requirements: [{ binding: web }]\n"
          "    bot:\n      type: Charity.Component\n"
          "      properties: { name: bot, deployment_unit: K8S_POD, image: example.org/bot:1 }\n"
          "      requirements: [{ host: webNode }]\n"
          "    BotCP:\n      type: Charity.ConnectionPoint\n"
          "      properties: { name: BotCP, port: 7000, protocol: UDP, public: true }\n"
          "      requirements: [{ binding: bot }]\n  outputs:\n",
          "port-conflict", "BotCP: the public port 7000 (UDP) of cluster rose is taken by GameCP already",
          "    BotCP:"),
    # --- outputs ----------------------------------------------------------------------------------------------------
    _case("output-target", "get_attribute: [WebCP, url]", "get_attribute: [WbCP, url]", "target-unknown",
          "output WebCP_url: it points to WbCP, which is not in the blueprint", "WbCP"),
    _case("output-attribute", "get_attribute: [WebCP, url]", "get_attribute: [WebCP, uri]",
          "unknown-property",
          "WebCP has no attribute named uri", "uri]", "warning"),
)  # fmt: skip
