"""Which scikit-learn wrote a pickle, and what is said of it."""

from __future__ import annotations

import pytest
import sklearn

from model_store import origin
from model_store.errors import IncompatibleVersion
from model_store.pickles import Global, Listing

HERE = sklearn.__version__
MINOR = ".".join(HERE.split(".")[:2])


def listing(*names: str, versions: tuple[str, ...] = ()) -> Listing:
    pairs = (name.rpartition(".") for name in names)
    return Listing(tuple(Global(module, name) for module, _, name in pairs), versions)


LOGISTIC = "sklearn.linear_model._logistic.LogisticRegression"


@pytest.mark.parametrize(
    ("found", "version"),
    [
        (listing(LOGISTIC), None),
        (listing(LOGISTIC, versions=("1.5.2",)), "1.5.2"),
        (listing(LOGISTIC, versions=("1.9.1", "1.10.0", "1.5.2")), "1.10.0"),
        (listing("sklearn.linear_model.logistic.LogisticRegression"), "before 0.24"),
        (listing("sklearn.cross_validation.KFold", LOGISTIC), "before 0.20"),
        (listing("sklearn.externals.joblib.numpy_pickle.NumpyArrayWrapper"), "before 0.23"),
        (listing("sklearn.ensemble.forest.X", versions=("0.21.3",)), "0.21.3"),
        (listing("os.system"), None),
        (listing("sklearn.ensemble._no_such_losses.Loss"), f"before {MINOR}"),
        (listing("sklearn.compose._column_transformer._NoSuchColumns"), f"before {MINOR}"),
    ],
)
def test_the_version_is_told_by_the_states_or_by_what_has_gone(
    found: Listing, version: str | None
) -> None:
    assert origin.written_by(found) == version


def test_the_same_version_or_none_is_taken_in_silence() -> None:
    for found in (listing(LOGISTIC), listing(LOGISTIC, versions=(HERE,))):
        assert origin.check("a.pkl", found, allow_version=False) == []


def test_another_patch_is_a_warning() -> None:
    (warning,) = origin.check(
        "a.pkl", listing(LOGISTIC, versions=(f"{MINOR}.99",)), allow_version=False
    )
    assert warning == f"a.pkl was written by scikit-learn {MINOR}.99, and {HERE} is installed."


def test_another_minor_is_refused_with_what_to_do_unless_it_is_allowed() -> None:
    found = listing(LOGISTIC, versions=("1.2.0",))
    with pytest.raises(
        IncompatibleVersion,
        match=r"^a\.pkl was written by scikit-learn 1\.2\.0, and .* is installed; train it again, "
        r"or install scikit-learn 1\.2\.0 in an environment of its own to convert it there, or "
        r"take it as it is with --allow-version and look at what it answers\.$",
    ):
        origin.check("a.pkl", found, allow_version=False)
    (warning,) = origin.check("a.pkl", found, allow_version=True)
    assert warning.endswith("it was allowed, so look at what it answers.")


@pytest.mark.parametrize("allow_version", [False, True])
def test_what_has_gone_cannot_be_allowed(allow_version: bool) -> None:
    found = listing("sklearn.linear_model.logistic.LogisticRegression", versions=("0.18.2",))
    with pytest.raises(
        IncompatibleVersion,
        match=r"0\.18\.2, and .* installed, which has no sklearn\.linear_model\.logistic any more, "
        r"so it cannot be loaded here; train it again, or install scikit-learn 0\.18\.2",
    ):
        origin.check("a.pkl", found, allow_version=allow_version)
    older = listing("sklearn.cross_validation.KFold")
    with pytest.raises(IncompatibleVersion, match=r"before 0\.20, .*scikit-learn older than 0\.20"):
        origin.check("a.pkl", older, allow_version=allow_version)


def test_a_name_that_has_gone_from_its_module_is_told() -> None:
    found = listing("sklearn.compose._column_transformer._NoSuchColumns", versions=("1.5.2",))
    with pytest.raises(
        IncompatibleVersion,
        match=r"by scikit-learn 1\.5\.2, .* which has no "
        r"sklearn\.compose\._column_transformer\._NoSuchColumns any more, so it cannot be loaded",
    ):
        origin.check("a.pkl", found, allow_version=True)


def test_what_a_later_release_added_is_not_there_yet() -> None:
    found = listing("sklearn.no_such_module.Model", versions=("99.0",))
    with pytest.raises(IncompatibleVersion, match=r"has no sklearn\.no_such_module yet, so"):
        origin.check("a.pkl", found, allow_version=True)
