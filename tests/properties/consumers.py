"""What takes columns: scikit-learn's encoders and imputers, and steps of one's own."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.impute import IterativeImputer, KNNImputer, MissingIndicator, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)

from .dtypes import Family

OWN_STEPS: Final = Path(__file__).with_name("own_steps.py")


def own_steps() -> ModuleType:
    """The operator's module, by the name that a pickle has for it: that of its file."""
    name = OWN_STEPS.stem
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, OWN_STEPS)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@dataclass(frozen=True, slots=True)
class Consumer:
    """A transformer, and whose columns it takes. `one` wants a column as a list of texts."""

    name: str
    families: frozenset[Family]
    make: Callable[[], Any]
    own: bool = False
    one: bool = False


NUMBERS: Final[frozenset[Family]] = frozenset({"integer", "float"})
NUMERIC: Final[frozenset[Family]] = NUMBERS | {"truth"}
TEXTS: Final[frozenset[Family]] = frozenset({"text", "day"})
NAMED: Final[frozenset[Family]] = NUMERIC | TEXTS
MOMENTS: Final[frozenset[Family]] = frozenset({"moment"})


def _own(name: str, families: frozenset[Family]) -> Consumer:
    def make() -> Any:
        return FunctionTransformer(getattr(own_steps(), name))

    return Consumer(f"own step {name}", families, make, own=True)


def _filled(**options: Any) -> Any:
    return make_pipeline(SimpleImputer(**options), OneHotEncoder(handle_unknown="ignore"))


CONSUMERS: Final[tuple[Consumer, ...]] = (
    Consumer("passed on", NUMERIC, lambda: "passthrough"),
    Consumer("StandardScaler", NUMBERS, StandardScaler),
    Consumer("MinMaxScaler", NUMBERS, MinMaxScaler),
    Consumer(
        "KBinsDiscretizer",
        NUMBERS,
        lambda: KBinsDiscretizer(3, encode="ordinal", strategy="uniform"),
    ),
    Consumer("OneHotEncoder", NAMED, OneHotEncoder),
    Consumer("OneHotEncoder, ignore", NAMED, lambda: OneHotEncoder(handle_unknown="ignore")),
    Consumer(
        "OneHotEncoder, infrequent",
        NAMED,
        lambda: OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=4),
    ),
    Consumer("OrdinalEncoder", NAMED, OrdinalEncoder),
    Consumer(
        "OrdinalEncoder, unknown is -1",
        NAMED,
        lambda: OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2
        ),
    ),
    Consumer("TargetEncoder", NAMED, lambda: TargetEncoder(cv=2, random_state=0)),
    Consumer("SimpleImputer, mean", NUMBERS, SimpleImputer),
    Consumer(
        "SimpleImputer, median",
        NUMBERS,
        lambda: SimpleImputer(strategy="median", add_indicator=True),
    ),
    Consumer(
        "SimpleImputer, constant",
        NUMBERS,
        lambda: SimpleImputer(strategy="constant", fill_value=0, add_indicator=True),
    ),
    Consumer("SimpleImputer, most frequent", NAMED, lambda: _filled(strategy="most_frequent")),
    Consumer(
        "SimpleImputer, a text", TEXTS, lambda: _filled(strategy="constant", fill_value="none")
    ),
    Consumer("KNNImputer", NUMBERS, lambda: KNNImputer(n_neighbors=2)),
    Consumer("IterativeImputer", NUMBERS, lambda: IterativeImputer(max_iter=2, random_state=0)),
    Consumer("MissingIndicator", NAMED, lambda: MissingIndicator(features="all")),
    Consumer(
        "CountVectorizer",
        TEXTS,
        lambda: CountVectorizer(analyzer="char", lowercase=False),
        one=True,
    ),
    Consumer("TfidfVectorizer", TEXTS, TfidfVectorizer, one=True),
    Consumer("HashingVectorizer", TEXTS, lambda: HashingVectorizer(n_features=16), one=True),
    _own("written", NAMED),
    _own("kinds", NAMED | MOMENTS),
    _own("missing", NAMED | MOMENTS),
    _own("markers", NAMED | MOMENTS),
    _own("last_digits", frozenset({"integer"})),
    _own("bits", frozenset({"integer"})),
    _own("prefixes", TEXTS),
    _own("hours", MOMENTS),
    _own("days", MOMENTS),
    _own("read_days", frozenset({"day"})),
)


def takers(family: Family) -> list[Consumer]:
    """Who takes a column of this family."""
    return [consumer for consumer in CONSUMERS if family in consumer.families]
