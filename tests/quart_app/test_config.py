"""Every setting, from its variable and by its name."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store.signing import PublicKey
from quart_app import create_app
from quart_app.config import SETTINGS, UNPREFIXED, Config, ConfigError
from quart_app.keys import NO_KEYS, Key, Keys

DEFAULTS: dict[str, Any] = {
    "HOST": None,
    "PORT": None,
    "SERVER": "hypercorn",
    "WORKERS": 1,
    "GRPC_PORT": None,
    "MODEL_STORE": Path("instance/models"),
    "MODEL_DIR": None,
    "MODEL_NAME": None,
    "MODEL_CACHE": Path("instance/cache"),
    "MODEL_CACHE_SIZE": 10 * 1024**3,
    "DATABASE_URL": "sqlite:///instance/quart_app.sqlite3",
    "RECORD": 0.0,
    "RECORD_DAYS": 30.0,
    "RECORD_MAX_ROWS": 1_000_000,
    "FOLLOW": None,
    "SWAP": "beside",
    "KEEP_FORMER": 600.0,
    "MAX_LOADED": 8,
    "RECIPES": None,
    "ALLOW_VERSION": False,
    "PICKLES": "fallback",
    "DEFAULT_MODEL": None,
    "API_KEYS": NO_KEYS,
    "KEYS_FOR": "changes",
    "REQUIRE_SIGNATURE": None,
    "RATE_LIMIT": (),
    "PROXIES": 0,
    "DRIFT_WINDOW": "1d",
    "TEMPLATES": None,
    "ACCESS_LOG": True,
    "METRICS": True,
    "OTEL_TRACES_EXPORTER": None,
    "OTEL_EXPORTER_OTLP_ENDPOINT": None,
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": None,
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": None,
    "OTEL_SERVICE_NAME": None,
    "OTEL_SDK_DISABLED": False,
    "OTEL_BSP_MAX_QUEUE_SIZE": 2048,
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": 512,
    "OTEL_BSP_SCHEDULE_DELAY": 5000,
    "CLASSIC": True,
    "CLASSIC_PREFIX": "",
    "TOUR": True,
    "TOUR_PREFIX": "/tour",
    "MCP": True,
    "CORS_ORIGINS": (),
    "READY": "any",
    "THREADS": 2,
    "MAX_BATCH_SIZE": 256,
    "MAX_QUEUE_SIZE": 20_000,
    "MAX_WAIT": 2.0,
    "MAX_REQUESTS": 1000,
    "MAX_CONNECTIONS": 1000,
    "MAX_MEMORY": None,
    "SHOW_ERRORS": False,
    "MAX_HELD_BYTES": 33_554_432,
    "MAX_ROWS": 10_000,
    "MAX_JSON_BYTES": 1_048_576,
    "MAX_TENSOR_ROWS": 100_000,
    "MAX_TENSOR_BYTES": 16_777_216,
    "MAX_EXPLAINED_ROWS": 100,
    "EXPLAIN_SECONDS": 2.0,
    "EXPLAIN_SAMPLING": False,
    "MAX_FORM_BYTES": 65_536,
    "MAX_CSV_BYTES": 536_870_912,
    "MAX_TABLES": 8,
    "DEADLINE": 20.0,
    "SHUTDOWN_DELAY": 1.0,
    "KEEP_ALIVE": 5.0,
}

PEM = """\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeNv90cYO8LsDdmRJzRgfM3nuZMV9
tG3PmCFHaJbauLoVkkXIL+vfKvE4h94jR17/P/Bixi5Rb6E12rabBbEqxA==
-----END PUBLIC KEY-----
"""

# What a setting is not read without.
NEEDED: dict[str, tuple[str, Any]] = {
    "MODEL_DIR": ("MODEL_NAME", "churn"),
    "MODEL_NAME": ("MODEL_DIR", Path("/mnt/models")),
}

# A setting, its text, and what that is.
GOOD: list[tuple[str, str, Any]] = [
    ("HOST", "0.0.0.0", "0.0.0.0"),
    ("HOST", "::1", "::1"),
    ("PORT", "0", 0),
    ("PORT", "65535", 65535),
    ("SERVER", "uvicorn", "uvicorn"),
    ("WORKERS", "4", 4),
    ("MODEL_DIR", "/mnt/models", Path("/mnt/models")),
    ("MODEL_NAME", "churn", "churn"),
    ("GRPC_PORT", "9000", 9000),
    ("GRPC_PORT", "0", 0),
    ("MODEL_STORE", "models", Path("models")),
    ("MODEL_STORE", "/srv/my models", Path("/srv/my models")),
    ("MODEL_STORE", "s3://my-bucket", "s3://my-bucket"),
    ("MODEL_STORE", "s3://my.bucket/models/a_b", "s3://my.bucket/models/a_b"),
    ("MODEL_CACHE", "/var/cache/models", Path("/var/cache/models")),
    ("DATABASE_URL", "sqlite:////srv/tasks.db", "sqlite:////srv/tasks.db"),
    ("DATABASE_URL", "postgres://ann:pw@host/name", "postgres://ann:pw@host/name"),
    ("FOLLOW", "0", 0.0),
    ("SWAP", "after", "after"),
    ("RECORD", "1", 1.0),
    ("RECORD", "10%", 0.1),
    ("RECORD_DAYS", "0.5", 0.5),
    ("RECORD_MAX_ROWS", "10000", 10_000),
    ("KEEP_FORMER", "0", 0.0),
    ("MAX_LOADED", "1", 1),
    ("RECIPES", "", ()),
    ("RECIPES", ",", ()),
    ("RECIPES", "iris", ("iris",)),
    ("RECIPES", " iris, exam ,", ("iris", "exam")),
    ("ALLOW_VERSION", "true", True),
    ("ALLOW_VERSION", "YES", True),
    ("ALLOW_VERSION", "1", True),
    ("ALLOW_VERSION", "false", False),
    ("ALLOW_VERSION", "No", False),
    ("ALLOW_VERSION", "0", False),
    ("PICKLES", "fallback", "fallback"),
    ("PICKLES", "never", "never"),
    ("DEFAULT_MODEL", "my-model.2", "my-model.2"),
    ("API_KEYS", "", NO_KEYS),
    ("API_KEYS", f"ann:{'0a' * 32}", Keys((Key("ann", b"\n" * 32),))),
    ("KEYS_FOR", "predictions", "predictions"),
    ("KEYS_FOR", "none", "none"),
    ("REQUIRE_SIGNATURE", PEM, PublicKey(PEM)),
    ("RATE_LIMIT", "", ()),
    ("RATE_LIMIT", "1/second, 100/minute ,5000/day", ("1/second", "100/minute", "5000/day")),
    ("PROXIES", "2", 2),
    ("DRIFT_WINDOW", "90m", "90m"),
    ("TEMPLATES", ".", Path(".")),
    ("TEMPLATES", str(Path(__file__).parent), Path(__file__).parent),
    ("ACCESS_LOG", "false", False),
    ("METRICS", "no", False),
    ("OTEL_TRACES_EXPORTER", "otlp, console", ("otlp", "console")),
    ("OTEL_TRACES_EXPORTER", "none", ()),
    *(
        (f"OTEL_EXPORTER_OTLP_{name}", text, text)
        for name in ("ENDPOINT", "TRACES_ENDPOINT")
        for text in ("http://collector:4318", "https://a:b@x.example/traces?y=1")
    ),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "grpc"),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf", "http/protobuf"),
    ("OTEL_SERVICE_NAME", "scores", "scores"),
    ("OTEL_SDK_DISABLED", "true", True),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "10", 10),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10", 10),
    ("OTEL_BSP_SCHEDULE_DELAY", "10", 10),
    ("SHOW_ERRORS", "yes", True),
    ("CLASSIC", "false", False),
    ("TOUR", "no", False),
    ("CLASSIC_PREFIX", "", ""),
    ("CLASSIC_PREFIX", "/old/flask-1.0", "/old/flask-1.0"),
    ("TOUR_PREFIX", "", ""),
    ("TOUR_PREFIX", "/learn", "/learn"),
    ("MCP", "no", False),
    ("CORS_ORIGINS", "", ()),
    ("CORS_ORIGINS", "*", ("*",)),
    (
        "CORS_ORIGINS",
        "https://a.example, http://[::1]:8000,capacitor://localhost",
        ("https://a.example", "http://[::1]:8000", "capacitor://localhost"),
    ),
    ("READY", "any", "any"),
    ("READY", "all", "all"),
    ("THREADS", "8", 8),
    ("MAX_BATCH_SIZE", "1", 1),
    ("MAX_QUEUE_SIZE", "99999999999", 99_999_999_999),
    ("MAX_ROWS", "007", 7),
    ("MAX_JSON_BYTES", "10", 10),
    *(
        (name, "10", 10)
        for name in (
            "MAX_FORM_BYTES",
            "MAX_TENSOR_ROWS",
            "MAX_TENSOR_BYTES",
            "MAX_CSV_BYTES",
            "MAX_TABLES",
            "MAX_REQUESTS",
            "MAX_CONNECTIONS",
            "MAX_HELD_BYTES",
            "MAX_EXPLAINED_ROWS",
        )
    ),
    ("MAX_WAIT", "0.5", 0.5),
    ("EXPLAIN_SECONDS", "0.5", 0.5),
    ("EXPLAIN_SAMPLING", "yes", True),
    ("MAX_MEMORY", "300M", 300 * 1024**2),
    ("MODEL_CACHE_SIZE", "2G", 2 * 1024**3),
    ("MAX_MEMORY", "2G", 2 * 1024**3),
    ("MAX_MEMORY", "16384K", 16 * 1024**2),
    ("MAX_MEMORY", "16777216", 16 * 1024**2),
    ("DEADLINE", "0.5", 0.5),
    ("DEADLINE", "86400", 86_400.0),
    ("SHUTDOWN_DELAY", "0", 0.0),
    ("KEEP_ALIVE", "5e1", 50.0),
]

BAD: list[tuple[str, str, str]] = [
    ("HOST", "", "a text"),
    *(("SERVER", text, "hypercorn or uvicorn") for text in ("", "Uvicorn", "gunicorn")),
    *(
        ("GRPC_PORT", text, "a port, which is a number from 0 to 65535")
        for text in ("", "-1", "grpc", "65536")
    ),
    ("MODEL_STORE", "", "a text"),
    ("MODEL_DIR", "", "a text"),
    *(("MODEL_NAME", text, "the name of a model") for text in ("", "a b", "../churn")),
    ("MODEL_CACHE", "", "a text"),
    ("MODEL_CACHE_SIZE", "0", "a size such as 300M, in K, M or G, from 16M on"),
    ("DATABASE_URL", "sqlite://", "a file after sqlite:///, and nothing after its name"),
    *(
        ("PORT", text, "a port, which is a number from 0 to 65535")
        for text in ("", "http", "-1", "65536", "8000.0", " 8000", "٣", "1" * 5000)
    ),
    *(
        (
            "RECIPES",
            text,
            "recipes among iris, exam, diabetes, blood-donation, titanic, with commas between them",
        )
        for text in ("nonsense", "iris,nonsense", "Iris", "iris exam")
    ),
    *(
        (name, text, "a number of seconds")
        for name in ("FOLLOW", "KEEP_FORMER")
        for text in ("", "-1", "often")
    ),
    *(("SWAP", text, "beside or after") for text in ("", "Beside", "before")),
    *(("MAX_LOADED", text, "a whole number from 1 on") for text in ("", "0", "many")),
    *(("ALLOW_VERSION", text, "true or false") for text in ("", "maybe", "2", "on", " true")),
    *(("PICKLES", text, "fallback or never") for text in ("", "always", "Never", "true")),
    *(("READY", text, "any or all") for text in ("", "ALL", "none", "any,all")),
    *(
        (name, text, "a whole number from 1 on")
        for name in ("THREADS", "WORKERS", "MAX_BATCH_SIZE", "MAX_QUEUE_SIZE", "MAX_ROWS")
        for text in ("", "0", "-1", "1.5", "many", "²", "1_000")
    ),
    *(
        (name, "0", "a whole number from 1 on")
        for name in (
            "MAX_JSON_BYTES",
            "MAX_FORM_BYTES",
            "MAX_TENSOR_ROWS",
            "MAX_TENSOR_BYTES",
            "MAX_CSV_BYTES",
            "MAX_TABLES",
            "MAX_REQUESTS",
            "MAX_CONNECTIONS",
            "MAX_HELD_BYTES",
            "MAX_EXPLAINED_ROWS",
        )
    ),
    ("MAX_WAIT", "0", "a number of seconds above 0"),
    *(
        ("RECORD", text, "a share from 0 to 1 such as 5% or 0.05")
        for text in ("", "2", "-0.1", "101%", "all")
    ),
    *(("RECORD_DAYS", text, "a number of days above 0") for text in ("0", "-1", "nan", "week")),
    ("RECORD_MAX_ROWS", "0", "a whole number from 1 on"),
    ("EXPLAIN_SECONDS", "0", "a number of seconds above 0"),
    ("EXPLAIN_SAMPLING", "perhaps", "true or false"),
    *(
        ("MAX_MEMORY", text, "a size such as 300M, in K, M or G, from 16M on")
        for text in ("", "300", "300m", "300 M", "15M", "-1G", "0.5G", "half", "²M", "9" * 40)
    ),
    *(("DEFAULT_MODEL", text, "the name of a model") for text in ("", "a b", "../a", "-a")),
    *(
        ("DRIFT_WINDOW", text, "a length of time such as 7d, 24h, 90m or 30s, up to 400d")
        for text in ("", "0d", "7", "d", "-1d", "1.5h", "401d", "7 d")
    ),
    *(("TEMPLATES", text, "a folder that exists") for text in ("", "no/such/folder", __file__)),
    ("ACCESS_LOG", "-", "true or false"),
    ("METRICS", "/metrics", "true or false"),
    ("MCP", "/mcp", "true or false"),
    *(
        (
            "OTEL_TRACES_EXPORTER",
            text,
            "otlp, console, none or another exporter, with commas between them",
        )
        for text in ("OTLP", "a b", "http://collector:4318")
    ),
    *(
        (f"OTEL_EXPORTER_OTLP_{name}", text, "an address such as http://collector:4318")
        for name in ("ENDPOINT", "TRACES_ENDPOINT")
        for text in ("collector:4318", "http://", "ftp://collector", "http://a b")
    ),
    *(
        (f"OTEL_EXPORTER_OTLP_{name}", "http/json", "http/protobuf or grpc")
        for name in ("PROTOCOL", "TRACES_PROTOCOL")
    ),
    *(
        ("OTEL_SERVICE_NAME", text, "a name of at most 255 characters")
        for text in ("a\nb", "x" * 256)
    ),
    ("OTEL_SDK_DISABLED", "maybe", "true or false"),
    *(
        (f"OTEL_BSP_{name}", text, "a whole number from 1 on")
        for name in ("MAX_QUEUE_SIZE", "MAX_EXPORT_BATCH_SIZE", "SCHEDULE_DELAY")
        for text in ("0", "-1", "many")
    ),
    ("SHOW_ERRORS", "all", "true or false"),
    ("CLASSIC", "maybe", "true or false"),
    ("TOUR", "maybe", "true or false"),
    ("MCP", "maybe", "true or false"),
    *(
        (name, text, "nothing, or the beginning of a path such as /old")
        for name in ("CLASSIC_PREFIX", "TOUR_PREFIX")
        for text in ("/", "old", "/old/", "//old", "/a b", "/<name>", "/old\n")
    ),
    *(
        ("CORS_ORIGINS", text, "origins such as https://app.example.com, in lower case, or *")
        for text in ("a.example", "https://a.example/", "https://A.example", "null", "https://*.b")
    ),
    *(
        ("KEYS_FOR", text, "changes, predictions or none")
        for text in ("", "all", "None", "changes,predictions")
    ),
    *(
        ("RATE_LIMIT", text, "rates such as 100/minute, per second, minute, hour or day")
        for text in ("100", "0/minute", "-1/minute", "1.5/minute", "100 per minute", "100/year")
    ),
    *(
        ("PROXIES", text, "a number of proxies from 0 to 10")
        for text in ("", "-1", "11", "0001000", "many", "²", "1.0")
    ),
    (
        "API_KEYS",
        "ann:first",
        "name:sha256 or name:sha256:model+model of each key, with commas between them",
    ),
    *(
        ("MODEL_STORE", text, "a folder, or s3://BUCKET/PREFIX")
        for text in ("s3://", "s3://b", "s3://My_Bucket/x", "gs://bucket/x", "s3://bucket//x")
    ),
    *(
        ("REQUIRE_SIGNATURE", text, "a file with a public key in PEM")
        for text in ("", "nowhere.pub", ".", "a\0b")
    ),
    *(
        ("REQUIRE_SIGNATURE", text, "a public key in PEM, of the curve P-256, P-384 or P-521")
        for text in (__file__.replace("test_config.py", "__init__.py"), PEM.replace("M", "N", 1))
    ),
    *(
        (name, text, "a number of seconds")
        for name in ("DEADLINE", "SHUTDOWN_DELAY", "KEEP_ALIVE")
        for text in ("", "-1", "nan", "inf", "soon", "86401")
    ),
]


def variable(name: str) -> str:
    return name if name in UNPREFIXED or name.startswith("OTEL_") else f"QUART_APP_{name}"


def value(config: Config, name: str) -> Any:
    return getattr(config, name.lower())


def as_dict(config: Config) -> dict[str, Any]:
    return {setting.name: value(config, setting.name) for setting in SETTINGS}


def test_without_anything_given_each_setting_has_its_default() -> None:
    assert as_dict(Config.read({})) == DEFAULTS
    assert as_dict(Config()) == DEFAULTS
    assert {setting.name: setting.default for setting in SETTINGS} == DEFAULTS


def test_each_setting_is_tried_here_with_good_and_with_bad_values() -> None:
    assert {name for name, _, _ in GOOD} == DEFAULTS.keys()
    assert {name for name, _, _ in BAD} == DEFAULTS.keys()


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_setting_is_a_field_with_a_help_that_is_a_sentence(name: str) -> None:
    setting = next(setting for setting in SETTINGS if setting.name == name)
    assert setting.field == name.lower()
    assert setting.field in {field.name for field in dataclasses.fields(Config)}
    assert setting.help.endswith(".")


@pytest.mark.parametrize(("name", "text", "expected"), GOOD)
def test_a_setting_is_read_from_its_variable_and_by_its_name(
    name: str, text: str, expected: Any
) -> None:
    needed = dict([NEEDED[name]]) if name in NEEDED else {}
    others = {**DEFAULTS, **needed}
    del others[name]
    for config in (
        Config.read({variable(name): text}, **needed),
        Config.read({}, **{name: text}, **needed),
        Config.read({}, **{name: expected}, **needed),
    ):
        found = as_dict(config)
        assert found.pop(name) == expected
        assert type(value(config, name)) is type(expected)
        assert found == others


@pytest.mark.parametrize(("name", "text", "expected"), BAD)
def test_a_bad_value_is_refused_in_a_sentence_that_names_where_it_stood(
    name: str, text: str, expected: str
) -> None:
    secret = name in {"API_KEYS", "DATABASE_URL"} or name.endswith("_ENDPOINT")
    got = "" if secret else f", got {text!r}"
    with pytest.raises(ConfigError) as caught:
        Config.read({variable(name): text})
    assert str(caught.value) == f"{variable(name)}: expected {expected}{got}."
    with pytest.raises(ConfigError) as caught:
        Config.read({}, **{name: text})
    assert str(caught.value) == f"{name}: expected {expected}{got}."


def test_an_empty_value_is_a_value_and_not_the_default() -> None:
    assert Config.read({"QUART_APP_RECIPES": ""}).recipes == ()
    assert Config.read({}).recipes is None
    with pytest.raises(ConfigError, match="PORT"):
        Config.read({"PORT": ""})


def test_only_those_of_the_platform_and_of_opentelemetry_have_no_prefix() -> None:
    assert {"HOST", "PORT", "DATABASE_URL"} == UNPREFIXED
    for setting in SETTINGS:
        assert setting.variable == variable(setting.name)
    unprefixed = {each.name for each in SETTINGS if each.name == each.variable}
    theirs = {setting.name: "x" for setting in SETTINGS if setting.name not in unprefixed}
    ours = {f"QUART_APP_{name}": "x" for name in unprefixed}
    assert as_dict(Config.read(theirs | ours)) == DEFAULTS


def test_an_empty_variable_of_opentelemetry_is_not_set_as_its_specification_has_it() -> None:
    empty = {name: "" for name in DEFAULTS if name.startswith("OTEL_")}
    assert as_dict(Config.read(empty)) == DEFAULTS
    with pytest.raises(ConfigError, match="OTEL_SERVICE_NAME: expected a name"):
        Config.read({}, OTEL_SERVICE_NAME="")


def test_what_is_given_by_name_goes_before_the_environment() -> None:
    environment = {"QUART_APP_THREADS": "5", "PORT": "not a port"}
    config = Config.read(environment, THREADS=3, PORT=None)
    assert (config.threads, config.port) == (3, None)


@pytest.mark.parametrize("name", ["THREAD", "threads", "QUART_APP_THREADS", ""])
def test_an_unknown_setting_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^There is no setting {name}\.$"):
        Config.read({}, **{name: "1"})
    unknown: dict[str, Any] = {name: "1"}
    with pytest.raises(ConfigError):
        create_app(**unknown)


@pytest.mark.parametrize("name", NEEDED)
def test_a_mounted_folder_and_its_name_go_together_and_without_a_store(name: str) -> None:
    other, there = NEEDED[name]
    with pytest.raises(ConfigError, match=rf"go together: {name} is not set\.$"):
        Config.read({}, **{other: there})
    given = {name: NEEDED[other][1], other: there}
    with pytest.raises(ConfigError, match="MODEL_DIR and MODEL_STORE exclude each other"):
        Config.read({}, MODEL_STORE="models", **given)


@pytest.mark.parametrize(
    ("environment", "workers"),
    [
        ({"WEB_CONCURRENCY": "3"}, 3),
        ({"WEB_CONCURRENCY": "3", "WEB_CONCURRENCY_SET_BY": "heroku"}, 1),
        ({"WEB_CONCURRENCY": "3", "QUART_APP_WORKERS": "2"}, 2),
    ],
)
def test_the_number_of_workers_is_that_of_the_platform_unless_it_was_not_asked(
    environment: dict[str, str], workers: int
) -> None:
    assert Config.read(environment).workers == workers


def test_variables_of_others_are_left_alone() -> None:
    assert as_dict(Config.read({"QUART_APP_THREAD": "1", "THREADS": "7", "": ""})) == DEFAULTS


def test_the_environment_of_the_process_is_read_where_none_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("QUART_APP_MAX_ROWS", "3")
    assert Config.read().max_rows == 3
    monkeypatch.setenv("QUART_APP_MAX_ROWS", "three")
    with pytest.raises(ConfigError, match="QUART_APP_MAX_ROWS"):
        create_app()


def test_a_config_does_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().threads = 3  # type: ignore[misc]


@settings(deadline=None)
@given(name=st.sampled_from(sorted(DEFAULTS)), text=st.text(max_size=20))
def test_any_text_is_a_value_of_the_type_or_refused(name: str, text: str) -> None:
    kinds = {
        "HOST": str,
        "PORT": int,
        "GRPC_PORT": int,
        "RECIPES": tuple,
        "DEFAULT_MODEL": str,
        "TEMPLATES": Path,
        "FOLLOW": float,
        "OTEL_TRACES_EXPORTER": tuple | None,
        "OTEL_SERVICE_NAME": str | None,
    }
    kind = kinds.get(name, type(DEFAULTS[name]))
    try:
        config = Config.read({variable(name): text})
    except ConfigError:
        return
    assert isinstance(value(config, name), kind)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({}, 2.0),
        ({"MODEL_STORE": "s3://models/here"}, 15.0),
        ({"MODEL_STORE": "s3://models/here", "FOLLOW": "3"}, 3.0),
        ({"FOLLOW": "0"}, 0.0),
    ],
)
def test_a_bucket_is_looked_at_less_often_than_a_folder(
    given: dict[str, str], seconds: float
) -> None:
    assert Config.read({}, **given).seconds_between_looks == seconds
