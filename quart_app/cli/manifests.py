"""What Kubernetes is told of a deployment, and KServe: manifests as text, a file each.

They are YAML with comments, since whoever applies them is to read and change them. All that is put
into them is a number or a word that was checked, or JSON, which YAML contains.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from string import Template
from typing import Final, NamedTuple

import msgspec

from ..server.options import Shutdown

MIB: Final = 1024 * 1024
MOUNT: Final = "/mnt/models"
"""Where KServe mounts what it has downloaded."""

SPARE: Final = 5.0
"""Seconds between the last moment at which the server ends itself and its end by the platform."""

DELAY: Final = 5
"""Seconds for which the server takes connections after the signal, until every node has heard that
the pod is none to send requests to."""

KSERVE_DELAY: Final = 3
"""The same where the platform waits for 30 seconds, as it does unless it is told otherwise."""

PROCESSOR_TARGET: Final = 60
"""The share of a processor, in percent, from which on another pod is wanted: a server uses about
one, however many there are."""

REQUESTED_PROCESSOR: Final = 500
"""Thousandths of a processor that a pod is given in any case."""

STEP: Final = 64 * MIB
"""Memory is asked for in multiples of it."""

LEAST: Final = 256 * MIB
IMPORTING: Final = 320 * MIB
"""Bytes beside the server in which a small model is imported: measured 230 MiB."""

_NAME: Final = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_IMAGE: Final = re.compile(r"[a-z0-9][a-zA-Z0-9._:/@-]{0,254}")
_STORAGE: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^\s\"'\\{}]{1,1000}")


class Memory(NamedTuple):
    """Bytes that a pod is given in any case, and that it may have."""

    requested: int
    limit: int

    @classmethod
    def forecast(cls, resident: int | None, limit: int | None, *, beside: int = 0) -> Memory:
        """What a server takes with its models loaded, a quarter more, and twice as much at most
        unless a limit is given. `beside` it a child may need as many bytes. Without a measurement
        there is the limit alone."""
        if resident is None:
            limit = limit or LEAST * 2
            return cls(limit, limit)
        requested = _rounded(resident * 1.25 + beside)
        limit = limit or max(LEAST, _rounded(2 * (resident + beside) + 128 * MIB))
        return cls(min(requested, limit), limit)


class Service(NamedTuple):
    """A service of KServe: its name, which is that of its model too, where that lies, and its
    memory."""

    name: str
    storage: str
    memory: Memory


def _rounded(size: float) -> int:
    return math.ceil(size / STEP) * STEP


def require_name(name: str) -> str:
    """A name that resources of Kubernetes may have.

    Raises:
        ValueError: it is none. The message says what was expected.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            "a name of at most 63 lower-case letters, digits and hyphens that begins with a letter"
        )
    return name


def require_image(image: str) -> str:
    """The name of an image, with a tag or without. Raises ValueError as `require_name` does."""
    if not _IMAGE.fullmatch(image):
        raise ValueError("the name of an image, such as registry.example.com/team/quart-app:1")
    return image


def require_storage(uri: str) -> str:
    """The URI of a model in a storage. Raises ValueError as `require_name` does."""
    if not _STORAGE.fullmatch(uri):
        raise ValueError("the URI of a folder, such as pvc://models/iris or s3://bucket/iris")
    return uri


def tagged(image: str, tag: str) -> str:
    """The image with this tag, if it has none and no digest."""
    last = image.rpartition("/")[2]
    return image if ":" in last or "@" in last else f"{image}:{tag}"


def grace(delay: float, drain: float) -> int:
    """Seconds that the platform must wait after the signal."""
    return math.ceil(Shutdown.within(delay, drain).watchdog + SPARE)


def kubernetes(
    name: str, image: str, command: Sequence[str], memory: Memory, *, drain: float
) -> dict[str, str]:
    """The manifests of a server with its models in the image, by the names of their files.
    `drain` are the seconds in which what was accepted is answered."""
    values = {
        **_container(image, command, memory, 12),
        "name": name,
        "delay": DELAY,
        "grace": grace(DELAY, drain),
        "target": PROCESSOR_TARGET * 1000 // REQUESTED_PROCESSOR,
    }
    templates = {
        "deployment.yaml": _DEPLOYMENT,
        "service.yaml": _SERVICE,
        "horizontal-pod-autoscaler.yaml": _AUTOSCALER,
        "pod-disruption-budget.yaml": _BUDGET,
        "network-policy.yaml": _POLICY,
    }
    return _filled(templates, values)


def kserve(service: Service, image: str, command: Sequence[str], memory: Memory) -> dict[str, str]:
    """The runtime that serves what KServe mounts, and one service that uses it."""
    values = {
        **_container(image, command, memory, 8),
        "delay": KSERVE_DELAY,
        "name": service.name,
        "storage": _json(service.storage),
        "target": PROCESSOR_TARGET * 1000 // REQUESTED_PROCESSOR,
        "service_requested": _quantity(service.memory.requested),
        "service_limit": _quantity(service.memory.limit),
    }
    templates = {"serving-runtime.yaml": _RUNTIME, "inference-service.yaml": _INFERENCE_SERVICE}
    return _filled(templates, values)


def _container(
    image: str, command: Sequence[str], memory: Memory, indent: int
) -> Mapping[str, object]:
    split = command.index("serve")
    return {
        "image": _json(image),
        "command": _list(command[:split], indent),
        "arguments": _list(command[split:], indent),
        "cpu": f"{REQUESTED_PROCESSOR}m",
        "requested": _quantity(memory.requested),
        "limit": _quantity(memory.limit),
    }


def _filled(templates: Mapping[str, Template], values: Mapping[str, object]) -> dict[str, str]:
    return {file: template.substitute(values) for file, template in templates.items()}


def _quantity(size: int) -> str:
    return f"{size // MIB}Mi"


def _list(words: Sequence[str], indent: int) -> str:
    return "\n".join(f"{' ' * indent}- {_json(word)}" for word in words)


def _json(text: str) -> str:
    return msgspec.json.encode(text).decode()


_SECURITY: Final = """\
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
"""


def _indented(text: str, indent: int) -> str:
    return "\n".join(f"{' ' * indent}{line}" for line in text.splitlines())


_DEPLOYMENT: Final = Template(
    """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: $name
  labels:
    app.kubernetes.io/name: $name
spec:
  # How many pods there are is said by the HorizontalPodAutoscaler.
  selector:
    matchLabels:
      app.kubernetes.io/name: $name
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  template:
    metadata:
      labels:
        app.kubernetes.io/name: $name
      annotations:
        prometheus.io/scrape: "true"
        prometheus.io/port: "8000"
        prometheus.io/path: /metrics
    spec:
      automountServiceAccountToken: false
      # The server ends by itself before that, when it has answered what it accepted.
      terminationGracePeriodSeconds: $grace
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              app.kubernetes.io/name: $name
      containers:
        - name: quart-app
          image: $image
          workingDir: /app
          command:
$command
          args:
$arguments
          ports:
            - name: http
              containerPort: 8000
              protocol: TCP
          env:
            - name: PORT
              value: "8000"
            # For so long connections are taken after the signal, since not every node has heard of
            # it then.
            - name: QUART_APP_SHUTDOWN_DELAY
              value: "$delay"
            # A model that fails must not let a rollout go on.
            - name: QUART_APP_READY
              value: all
            - name: OMP_NUM_THREADS
              value: "1"
            - name: OPENBLAS_NUM_THREADS
              value: "1"
          # Settings that are secret, such as QUART_APP_API_KEYS and DATABASE_URL.
          envFrom:
            - secretRef:
                name: $name
                optional: true
          # The memory is what the models took when this was written. The server starts anew by
          # itself before it reaches the limit (--max-memory).
          resources:
            requests:
              cpu: $cpu
              memory: $requested
            limits:
              memory: $limit
          startupProbe:
            httpGet:
              path: /health/live
              port: http
            periodSeconds: 1
            timeoutSeconds: 5
            failureThreshold: 60
          livenessProbe:
            httpGet:
              path: /health/live
              port: http
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 3
          readinessProbe:
            httpGet:
              path: /health/ready
              port: http
            periodSeconds: 5
            timeoutSeconds: 5
            failureThreshold: 2
          securityContext:
"""
    + _indented(_SECURITY, 12)
    + """
          volumeMounts:
            # Uploaded tables, while they are answered.
            - name: tmp
              mountPath: /tmp
            # The database of the records, where none is named. It goes with the pod.
            - name: instance
              mountPath: /app/instance
      volumes:
        - name: tmp
          emptyDir:
            sizeLimit: 2Gi
        - name: instance
          emptyDir:
            sizeLimit: 1Gi
"""
)

_SERVICE: Final = Template(
    """\
apiVersion: v1
kind: Service
metadata:
  name: $name
  labels:
    app.kubernetes.io/name: $name
spec:
  type: ClusterIP
  selector:
    app.kubernetes.io/name: $name
  ports:
    - name: http
      port: 80
      targetPort: http
      protocol: TCP
"""
)

_AUTOSCALER: Final = Template(
    """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: $name
  labels:
    app.kubernetes.io/name: $name
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: $name
  minReplicas: 2
  maxReplicas: 10
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          # Of what is requested: a server is one process, which uses about one processor at most.
          averageUtilization: $target
"""
)

_BUDGET: Final = Template(
    """\
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: $name
  labels:
    app.kubernetes.io/name: $name
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      app.kubernetes.io/name: $name
"""
)

_POLICY: Final = Template(
    """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: $name
  labels:
    app.kubernetes.io/name: $name
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: $name
  policyTypes:
    - Ingress
    - Egress
  ingress:
    - ports:
        - protocol: TCP
          port: 8000
  # The models are in the image, so the server calls nobody. Name here what it is to reach: a
  # database, a collector of traces, and DNS for both.
  egress: []
"""
)

_RUNTIME: Final = Template(
    """\
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata:
  name: quart-app
spec:
  annotations:
    prometheus.kserve.io/port: "8080"
    prometheus.kserve.io/path: /metrics
  # A service that names one of these formats must name this runtime too, since others take them.
  supportedModelFormats:
    - name: quart-app
      version: "1"
      autoSelect: true
    - name: sklearn
      version: "1"
      autoSelect: false
    - name: mlflow
      version: "2"
      autoSelect: false
    - name: skops
      version: "1"
      autoSelect: false
  protocolVersions:
    - v1
    - v2
  multiModel: false
  containers:
    - name: kserve-container
      image: $image
      workingDir: /app
      command:
$command
      args:
$arguments
      ports:
        - containerPort: 8080
          protocol: TCP
      env:
        - name: PORT
          value: "8080"
        # For so long connections are taken after the signal, since not every node has heard of it
        # then. Whoever makes it longer gives the pod more than 30 seconds to end.
        - name: QUART_APP_SHUTDOWN_DELAY
          value: "$delay"
        - name: OMP_NUM_THREADS
          value: "1"
        - name: OPENBLAS_NUM_THREADS
          value: "1"
      resources:
        requests:
          cpu: $cpu
          memory: $requested
        limits:
          memory: $limit
      livenessProbe:
        httpGet:
          path: /health/live
          port: 8080
        initialDelaySeconds: 10
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      readinessProbe:
        httpGet:
          path: /health/ready
          port: 8080
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 2
      securityContext:
"""
    + _indented(_SECURITY, 8)
    + """
      volumeMounts:
        # What a model is imported into, and uploaded tables while they are answered.
        - name: tmp
          mountPath: /tmp
        - name: instance
          mountPath: /app/instance
  volumes:
    - name: tmp
      emptyDir:
        sizeLimit: 4Gi
    - name: instance
      emptyDir:
        sizeLimit: 1Gi
"""
)

_INFERENCE_SERVICE: Final = Template(
    """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: $name
spec:
  predictor:
    minReplicas: 1
    maxReplicas: 3
    # In percent of the processor that is requested.
    scaleMetric: cpu
    scaleTarget: $target
    model:
      runtime: quart-app
      modelFormat:
        name: quart-app
      protocolVersion: v2
      storageUri: $storage
      resources:
        requests:
          cpu: $cpu
          memory: $service_requested
        limits:
          memory: $service_limit
"""
)
