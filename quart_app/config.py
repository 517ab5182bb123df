"""Every setting: its name, default and help, read once from the environment and checked.

A setting written X is the variable QUART_APP_X, and an empty value is a value. HOST, PORT and
DATABASE_URL are the platform's own and have no prefix. Nor have those of OpenTelemetry, of which an
empty value is none, as its specification has it. Nothing else in the project reads the environment;
OpenTelemetry's own packages, where they are imported, read what is not here.

Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, cast

import msgspec

from model_store import ModelStore, ModelStoreError
from model_store.errors import MissingExtra
from model_store.gates import share
from model_store.recipes import RECIPES
from model_store.signing import PublicKey
from model_store.store import DEFAULT_ROOT, require_name

from .database_url import require_url
from .keys import NO_KEYS, Keys
from .server import concurrency
from .window import seconds_of

PREFIX: Final = "QUART_APP_"
UNPREFIXED: Final = frozenset({"HOST", "PORT", "DATABASE_URL"})
OTEL: Final = "OTEL_"
"""What the variables of OpenTelemetry begin with."""

SECONDS: Final = 1.0
KIB: Final = 1024
MIB: Final = 1024 * KIB

MEMORY_UNITS: Final = {"": 1, "K": KIB, "M": MIB, "G": 1024 * MIB}
FOLLOW_FOLDER: Final = 2 * SECONDS
FOLLOW_BUCKET: Final = 15 * SECONDS

LEAST_MEMORY: Final = 16 * MIB
"""Less than any server takes."""

SERVERS: Final = ("hypercorn", "uvicorn")
PICKLES: Final = ("fallback", "never")
OTLP_PROTOCOLS: Final = ("http/protobuf", "grpc")
DEFAULT_DATABASE: Final = "sqlite:///instance/quart_app.sqlite3"

# A scheme, a host and a port where it is not the usual one, as browsers send them (RFC 6454, 6.2).
_ORIGIN: Final = re.compile(r"\*|[a-z][a-z0-9+.-]*://[a-z0-9._\[\]:-]+")
_RATE: Final = re.compile(r"[1-9][0-9]{0,8}/(second|minute|hour|day)")
_MEMORY: Final = re.compile(r"([0-9]{1,15})([KMG]?)")
_BUCKET: Final = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._-]+)*/?")
_PREFIX: Final = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_EXPORTER: Final = re.compile(r"[a-z][a-z0-9_]*")
_ENDPOINT: Final = re.compile(r"https?://[^\s/]+(/\S*)?")


class ConfigError(Exception):
    """A setting has a value that it does not take, or there is no such setting."""


def _text(value: str) -> str:
    if not value:
        raise ValueError("a text")
    return value


def _path(value: str) -> Path:
    return Path(_text(value))


def _place(value: str) -> Path | str:
    """A folder, or the URL of a place in a bucket as it stands."""
    if "://" not in value:
        return _path(value)
    if not _BUCKET.fullmatch(value):
        raise ValueError("a folder, or s3://BUCKET/PREFIX")
    return value


def _folder(value: str) -> Path:
    path = Path(value)
    if not value or not path.is_dir():
        raise ValueError("a folder that exists")
    return path


def _recipes(value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    if not set(names) <= RECIPES.keys():
        raise ValueError(f"recipes among {', '.join(RECIPES)}, with commas between them")
    return names


def _boolean(value: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if value.lower() not in words:
        raise ValueError("true or false")
    return words[value.lower()]


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= 24 * 60 * 60:
        raise ValueError("a number of seconds")
    return seconds


def _positive_seconds(value: str) -> float:
    seconds = _seconds(value)
    if not seconds:
        raise ValueError("a number of seconds above 0")
    return seconds


def _count(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 12 and int(value) > 0):
        raise ValueError("a whole number from 1 on")
    return int(value)


def memory_size(value: str) -> int:
    """Bytes from a size such as 300M.

    Raises:
        ValueError: it is none. The message says what was expected.
    """
    match = _MEMORY.fullmatch(value)
    size = int(match[1]) * MEMORY_UNITS[match[2]] if match else 0
    if size < LEAST_MEMORY:
        raise ValueError(f"a size such as 300M, in K, M or G, from {LEAST_MEMORY // MIB}M on")
    return size


def _port(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 6 and int(value) < 65536):
        raise ValueError("a port, which is a number from 0 to 65535")
    return int(value)


def _any_or_all(value: str) -> str:
    if value not in {"any", "all"}:
        raise ValueError("any or all")
    return value


def _pickles(value: str) -> str:
    if value not in PICKLES:
        raise ValueError(" or ".join(PICKLES))
    return value


def _swap(value: str) -> str:
    if value not in {"beside", "after"}:
        raise ValueError("beside or after")
    return value


def _server(value: str) -> str:
    if value not in SERVERS:
        raise ValueError(" or ".join(SERVERS))
    return value


def _keys_for(value: str) -> str:
    if value not in {"changes", "predictions", "none"}:
        raise ValueError("changes, predictions or none")
    return value


def _rates(value: str) -> tuple[str, ...]:
    rates = tuple(rate.strip() for rate in value.split(",") if rate.strip())
    if not all(_RATE.fullmatch(rate) for rate in rates):
        raise ValueError("rates such as 100/minute, per second, minute, hour or day")
    return rates


def _hops(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 3 and int(value) <= 10):
        raise ValueError("a number of proxies from 0 to 10")
    return int(value)


def _model(value: str) -> str:
    try:
        require_name(value)
    except ModelStoreError:
        raise ValueError("the name of a model") from None
    return value


def _length(value: str) -> str:
    seconds_of(value)
    return value


def _prefix(value: str) -> str:
    if not _PREFIX.fullmatch(value):
        raise ValueError("nothing, or the beginning of a path such as /old")
    return value


def _public_key(value: str) -> PublicKey:
    """A key in a file, or itself in PEM."""
    try:
        pem = value if value.startswith("-----BEGIN ") else Path(value).read_text("ascii")
    except (OSError, ValueError):
        raise ValueError("a file with a public key in PEM") from None
    try:
        return PublicKey.read(pem)
    except MissingExtra as error:
        raise ConfigError(str(error)) from None


def _days(value: str) -> float:
    try:
        days = float(value)
    except ValueError:
        days = 0
    if not 0 < days <= 36_500:
        raise ValueError("a number of days above 0")
    return days


def _origins(value: str) -> tuple[str, ...]:
    origins = tuple(origin.strip() for origin in value.split(",") if origin.strip())
    if not all(_ORIGIN.fullmatch(origin) for origin in origins):
        raise ValueError("origins such as https://app.example.com, in lower case, or *")
    return origins


def _service(value: str) -> str:
    if not 0 < len(value) <= 255 or not value.isprintable():
        raise ValueError("a name of at most 255 characters")
    return value


def _exporters(value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    if not all(_EXPORTER.fullmatch(name) for name in names):
        raise ValueError("otlp, console, none or another exporter, with commas between them")
    return () if "none" in names else names


def _endpoint(value: str) -> str:
    if not _ENDPOINT.fullmatch(value):
        raise ValueError("an address such as http://collector:4318")
    return value


def _otlp_protocol(value: str) -> str:
    if value not in OTLP_PROTOCOLS:
        raise ValueError(" or ".join(OTLP_PROTOCOLS))
    return value


def _setting(
    default: Any, read: Callable[[str], Any], help_text: str, *, secret: bool = False
) -> Any:
    metadata = {"read": read, "help": help_text, "secret": secret}
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the operator decided. A field is the setting of the same name in capitals."""

    host: str | None = _setting(
        None,
        _text,
        "The address to listen on; 127.0.0.1, or all interfaces when PORT is set and HOST is not.",
    )
    port: int | None = _setting(None, _port, "The port to listen on; 8000. 0 takes a free one.")
    server: Literal["hypercorn", "uvicorn"] = _setting(
        "hypercorn", _server, "The HTTP server: hypercorn, or with the extra uvicorn uvicorn."
    )
    workers: int = _setting(
        1,
        _count,
        "Processes that serve, on Linux; no more than there is the memory for. WEB_CONCURRENCY "
        "says it too, where no platform has set that by itself.",
    )
    grpc_port: int | None = _setting(
        None,
        _port,
        "The port of gRPC, on the same address, as 9000; needs the extra `grpc`. Without it there "
        "is no gRPC; 0 takes a free one.",
    )
    model_store: Path | str = _setting(  # noqa: RUF009
        DEFAULT_ROOT,
        _place,
        "Where the published models are: a folder, or with the extra `objects` s3://BUCKET/PREFIX.",
    )
    model_dir: Path | None = _setting(  # noqa: RUF009
        None,
        _path,
        "A folder that a platform mounted, to be served in place of a store: a version, a model or "
        "a store of ours, or a folder that is imported at the start. Needs MODEL_NAME.",
    )
    model_name: str | None = _setting(
        None, _model, "The name of the model in that folder, whatever it was called before."
    )
    model_cache: Path = _setting(  # noqa: RUF009
        Path("instance/cache"),
        _path,
        "A folder for what is read of a store in a bucket; it is proven each time it is used.",
    )
    model_cache_size: int = _setting(
        10 * 1024 * MIB,
        memory_size,
        "Size of that folder, as 2G, beyond which versions go, least recently used first.",
    )
    database_url: str = _setting(
        DEFAULT_DATABASE,
        require_url,
        "The database of the records and of the tour's tasks: sqlite:///FILE, or with the extra "
        "record, or postgres for the tasks, postgresql://USER:PASSWORD@HOST/NAME.",
        secret=True,
    )
    record: float = _setting(
        0.0,
        share,
        "The share of the predictions that is recorded in the database, as 0.1 or 10%; 0 records "
        "none. `models edit NAME --record` says another for one model.",
    )
    record_days: float = _setting(
        30.0, _days, "Days after which a recorded prediction is deleted; hourly summaries stay."
    )
    record_max_rows: int = _setting(
        1_000_000, _count, "Recorded rows that are kept; beyond that the oldest are deleted."
    )
    follow: float | None = _setting(
        None,
        _seconds,
        "Seconds between two looks at the store: what is published, promoted, rolled back, edited "
        "or removed is served without a restart. 2 of a folder, 15 of a bucket; 0 looks at the "
        "start alone.",
    )
    swap: Literal["beside", "after"] = _setting(
        "beside",
        _swap,
        "How a version takes the place of another: `beside`, loaded while the old one serves; "
        "`after`, once the old one has gone, where there is not the memory for two: until then its "
        "requests get 503.",
    )
    keep_former: float = _setting(
        600 * SECONDS,
        _seconds,
        "Seconds that the former champion stays loaded, so that `models rollback` is immediate; it "
        "goes earlier where memory is short.",
    )
    max_loaded: int = _setting(
        8,
        _count,
        "Versions that stay loaded because a request named their number; beyond it the least "
        "recently used goes.",
    )
    recipes: tuple[str, ...] | None = _setting(
        None,
        _recipes,
        "Models to train at start-up where they are missing, with commas between them; all bundled "
        "ones when the store is empty, else none.",
    )
    allow_version: bool = _setting(
        False, _boolean, "Load models that were trained with another minor of scikit-learn."
    )
    pickles: Literal["fallback", "never"] = _setting(
        "fallback",
        _pickles,
        "When pickles are read: `fallback`, for models without a plain form that answers here; "
        "`never`, and those models fail.",
    )
    default_model: str | None = _setting(
        None,
        _model,
        "The model that answers where a request names none; iris where it is, else the only one.",
    )
    api_keys: Keys = _setting(  # noqa: RUF009
        NO_KEYS,
        Keys.parse,
        "Who may do what needs a key: name:sha256 of each key, or name:sha256:model+model of one "
        "for some models alone, with commas between them; nobody where it is empty.",
        secret=True,
    )
    keys_for: Literal["changes", "predictions", "none"] = _setting(
        "changes",
        _keys_for,
        "What needs an API key: changes, which are loading, unloading, promoting and trying "
        "versions; predictions, by all routes, the tour's tasks, and changes; none, so that "
        "whoever reaches the server may change what it serves.",
    )
    require_signature: PublicKey | None = _setting(  # noqa: RUF009
        None,
        _public_key,
        "A file with a public key, or the key itself in PEM: only versions that were signed with "
        "its private key are read. Needs the extra `signing`.",
    )
    rate_limit: tuple[str, ...] = _setting(
        (),
        _rates,
        "How often each key, or each address without one, may ask, as 100/minute,5000/day; more "
        "are refused with 429.",
    )
    proxies: int = _setting(
        0,
        _hops,
        "Proxies of yours before the server, whose X-Forwarded-For and X-Forwarded-Proto are "
        "believed; 1 behind the router of a platform.",
    )
    drift_window: str = _setting(
        "1d",
        _length,
        "How much time drift is looked for in at once, as 1d or 12h, by the home page and the "
        "metrics: a model is marked when a column drifts in two such windows running.",
    )
    templates: Path | None = _setting(  # noqa: RUF009
        None, _folder, "A folder of templates that take the place of bundled ones by their names."
    )
    access_log: bool = _setting(
        True, _boolean, "Whether `serve` writes a line of JSON to stdout for each request."
    )
    metrics: bool = _setting(True, _boolean, "Whether Prometheus may read /metrics.")
    otel_traces_exporter: tuple[str, ...] | None = _setting(
        None,
        _exporters,
        "Where traces go: `otlp`, `console` or another exporter of OpenTelemetry, with commas "
        "between them, or `none`; `otlp` where an endpoint is set, else there are no traces. Needs "
        "the extra `otel`.",
    )
    otel_exporter_otlp_endpoint: str | None = _setting(
        None,
        _endpoint,
        "The collector of traces, as http://collector:4318; by HTTP they go to /v1/traces below "
        "it.",
        secret=True,
    )
    otel_exporter_otlp_traces_endpoint: str | None = _setting(
        None, _endpoint, "The whole address to which traces go, instead.", secret=True
    )
    otel_exporter_otlp_protocol: Literal["http/protobuf", "grpc"] = _setting(
        "http/protobuf",
        _otlp_protocol,
        "How traces go there: `http/protobuf`, or `grpc`, which needs "
        "opentelemetry-exporter-otlp-proto-grpc.",
    )
    otel_exporter_otlp_traces_protocol: Literal["http/protobuf", "grpc"] | None = _setting(
        None, _otlp_protocol, "The same for traces alone, before the other."
    )
    otel_service_name: str | None = _setting(
        None, _service, "What the server is called in its traces; quart-app."
    )
    otel_sdk_disabled: bool = _setting(False, _boolean, "Whether there are no traces at all.")
    otel_bsp_max_queue_size: int = _setting(
        2048, _count, "Spans that may wait to be sent; more are dropped and counted."
    )
    otel_bsp_max_export_batch_size: int = _setting(512, _count, "Spans that are sent at once.")
    otel_bsp_schedule_delay: int = _setting(
        5000, _count, "Milliseconds for which spans may wait until there are as many."
    )
    classic: bool = _setting(
        True, _boolean, "Whether the routes and pages of the older Flask apps are served."
    )
    classic_prefix: str = _setting("", _prefix, "The path below which those are served, as /old.")
    tour: bool = _setting(
        True,
        _boolean,
        "Whether the tour of Flask's idioms is served, with its tasks; needs the extra `tour`.",
    )
    tour_prefix: str = _setting(
        "/tour", _prefix, "The path below which the tour stands; it may be empty."
    )
    mcp: bool = _setting(
        True,
        _boolean,
        "Whether agents find the models as tools at /mcp (Model Context Protocol).",
    )
    cors_origins: tuple[str, ...] = _setting(
        (),
        _origins,
        "Origins whose pages may ask this server, as https://app.example.com, with commas between "
        "them; * for any.",
    )
    ready: Literal["any", "all"] = _setting(
        "any",
        _any_or_all,
        "Ready when `any` model is, or only when `all` models of the start are. A model that was "
        "published later and fails changes nothing.",
    )
    threads: int = _setting(2, _count, "Threads that predict.")
    show_errors: bool = _setting(
        False,
        _boolean,
        "Whether clients are told what a pipeline or a library said of a failure, for development; "
        "else the log alone has it.",
    )
    max_batch_size: int = _setting(256, _count, "Rows that one call of predict takes together.")
    max_queue_size: int = _setting(
        20_000, _count, "Rows that may wait for one model; more are refused with 503."
    )
    max_wait: float = _setting(
        2 * SECONDS,
        _positive_seconds,
        "Seconds away that a request's turn may be, as fast as its model is going; else it is "
        "refused with 503.",
    )
    max_requests: int = _setting(
        1000,
        _count,
        "Requests that are answered at a time; more are refused with 503. Those whose body is "
        "still arriving do not count, nor does anything below /health.",
    )
    max_connections: int = _setting(
        1000,
        _count,
        "Connections that are open at a time, by HTTP and by gRPC each. A further one takes the "
        "place of the one that has been without a request for longest; where there is none it is "
        "closed.",
    )
    max_held_bytes: int = _setting(
        32 * MIB,
        _count,
        "Bytes of bodies that are held in memory at a time; more are refused with 503, unless they "
        "are of one body.",
    )
    max_memory: int | None = _setting(
        None,
        memory_size,
        "Memory of the process, as 300M, beyond which the server lets caches go, and if that does "
        "not help turns unready, answers what it has accepted and ends with 1, to be started anew; "
        "no limit. It is held on Linux alone.",
    )
    max_rows: int = _setting(10_000, _count, "Rows that one request may bring.")
    max_json_bytes: int = _setting(1 * MIB, _count, "Bytes that a JSON body may have.")
    max_tensor_rows: int = _setting(
        100_000, _count, "Rows that one request may bring as tensors in bytes."
    )
    max_tensor_bytes: int = _setting(
        16 * MIB, _count, "Bytes that a body with tensors in bytes may have."
    )
    max_explained_rows: int = _setting(
        100,
        _count,
        "Rows of one request that may be explained; a table in CSV may have any number.",
    )
    explain_seconds: float = _setting(
        2 * SECONDS,
        _positive_seconds,
        "Seconds after which an explanation is given up, or an estimate is no longer refined; of a "
        "table in CSV, for each part of it.",
    )
    explain_sampling: bool = _setting(
        False,
        _boolean,
        "Whether contributions are estimated, with their standard errors, where they cannot be "
        "found exactly: of models in which more than 10 columns count together.",
    )
    max_form_bytes: int = _setting(64 * KIB, _count, "Bytes that a form may have.")
    max_csv_bytes: int = _setting(
        512 * MIB,
        _count,
        "Bytes that a table in CSV or JSON Lines may have; they are kept in a temporary file. All "
        "together may have twice as many.",
    )
    max_tables: int = _setting(
        8,
        _count,
        "Tables in CSV or JSON Lines that are taken at a time; more are refused with 503.",
    )
    deadline: float = _setting(
        20 * SECONDS,
        _positive_seconds,
        "Seconds after which a request is given up, from its first byte on.",
    )
    shutdown_delay: float = _setting(
        1 * SECONDS,
        _seconds,
        "Seconds between the signal, when ready turns 503, and the end of listening.",
    )
    keep_alive: float = _setting(
        5 * SECONDS,
        _seconds,
        "Seconds that an idle connection is kept open; 95 behind a router that keeps its own for "
        "90.",
    )

    def store(self) -> ModelStore:
        """The store of the models.

        Raises:
            ConfigError: it is in a bucket, and what that needs is not installed.
        """
        if self.model_dir is not None and self.model_name is not None:
            # Imported where a folder is mounted only.
            from model_store.mounted import MountedStore

            return MountedStore(
                self.model_dir.absolute(), self.model_name, public_key=self.require_signature
            )
        if isinstance(self.model_store, Path):
            return ModelStore(self.model_store.absolute(), public_key=self.require_signature)
        # Imported where a store is in a bucket only.
        from model_store.bucket import BucketStore

        try:
            return BucketStore.open(
                self.model_store,
                self.model_cache.absolute(),
                public_key=self.require_signature,
                room=self.model_cache_size,
            )
        except (MissingExtra, ValueError) as error:
            raise ConfigError(str(error)) from None

    @property
    def trace_exporters(self) -> tuple[str, ...]:
        """Where traces go; to none where they were not asked for."""
        if self.otel_sdk_disabled:
            return ()
        if self.otel_traces_exporter is not None:
            return self.otel_traces_exporter
        endpoint = self.otel_exporter_otlp_traces_endpoint or self.otel_exporter_otlp_endpoint
        return () if endpoint is None else ("otlp",)

    @property
    def seconds_between_looks(self) -> float:
        """`follow`, or what is usual for such a store."""
        if self.follow is not None:
            return self.follow
        return FOLLOW_FOLDER if isinstance(self.model_store, Path) else FOLLOW_BUCKET

    @property
    def has_folder(self) -> bool:
        """Whether the models are in a folder, and not in a bucket."""
        return isinstance(self.model_store, Path)

    @property
    def place(self) -> str:
        """Where the models are, for a person."""
        at = self.model_store if self.model_dir is None else self.model_dir
        return str(at.absolute()) if isinstance(at, Path) else at

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None, **settings: Any) -> Config:
        """The settings given by name, the others from the environment, the others by default.

        `settings` are in capitals and may be text, as in the environment, or of their own type.

        Raises:
            ConfigError: an unknown setting, or a value that it does not take.
        """
        environment = os.environ if environment is None else environment
        known = {setting.name for setting in SETTINGS}
        for name in settings:
            if name not in known:
                raise ConfigError(f"There is no setting {name}.")
        found = {}
        for setting in SETTINGS:
            if setting.name in settings:
                found[setting.field] = setting.parse(settings[setting.name], setting.name)
            elif (variable := setting.variable_in(environment)) is not None:
                found[setting.field] = setting.parse(environment[variable], variable)
        _require_whole(found)
        return cls(**found)


def _require_whole(found: Mapping[str, Any]) -> None:
    """Raises ConfigError where one setting lacks another, or contradicts it."""
    folder, name = found.get("model_dir"), found.get("model_name")
    if (folder is None) != (name is None):
        lacking = "MODEL_NAME" if name is None else "MODEL_DIR"
        raise ConfigError(f"MODEL_DIR and MODEL_NAME go together: {lacking} is not set.")
    if folder is not None and "model_store" in found:
        raise ConfigError(
            "MODEL_DIR and MODEL_STORE exclude each other: serve the folder, or a store."
        )


class Setting(msgspec.Struct, frozen=True):
    """A row of the table of settings."""

    field: str
    default: Any
    help: str
    read: Callable[[str], Any]
    secret: bool

    @property
    def name(self) -> str:
        return self.field.upper()

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        is_theirs = self.name in UNPREFIXED or self.name.startswith(OTEL)
        return self.name if is_theirs else PREFIX + self.name

    def variable_in(self, environment: Mapping[str, str]) -> str | None:
        """The variable that has its value, where one has."""
        if self.variable == concurrency.VARIABLE:
            return concurrency.variable_in(environment)
        value = environment.get(self.variable)
        is_set = value is not None and (value != "" or not self.name.startswith(OTEL))
        return self.variable if is_set else None

    def parse(self, value: Any, given_as: str) -> Any:
        """The value in the setting's own type, from text, or from that type and then checked
        alike. None is a value where it is the default.

        Raises:
            ConfigError: the setting does not take it.
        """
        if value is None and self.default is None:
            return None
        text = ",".join(value) if isinstance(value, list | tuple) else str(value)
        try:
            return self.read(text)
        except ValueError as error:
            got = "" if self.secret else f", got {value!r}"
            raise ConfigError(f"{given_as}: expected {error}{got}.") from None


SETTINGS: Final = tuple(
    Setting(
        row.name,
        row.default,
        row.metadata["help"],
        cast(Any, row.metadata["read"]),
        row.metadata["secret"],
    )
    for row in fields(Config)
    if row.default is not MISSING
)
