"""Which classes and parameters are known exactly.

A parameter that another version of scikit-learn adds is not, and a subclass may answer otherwise.
"""

from __future__ import annotations

import sys
from typing import Any, Final

_DESCENT = "alpha copy_X fit_intercept max_iter positive precompute random_state selection tol"
_PATH = "alphas copy_X cv eps fit_intercept max_iter n_alphas n_jobs positive precompute"
_PATH += " random_state selection tol verbose"
_GRADIENT = "alpha average early_stopping epsilon eta0 fit_intercept l1_ratio learning_rate loss"
_GRADIENT += " max_iter n_iter_no_change penalty power_t random_state shuffle tol"
_GRADIENT += " validation_fraction verbose warm_start"
_RIDGE = "alpha copy_X fit_intercept max_iter positive random_state solver tol"
_TREE = "ccp_alpha criterion max_depth max_features max_leaf_nodes min_impurity_decrease"
_TREE += " min_samples_leaf min_samples_split min_weight_fraction_leaf monotonic_cst random_state"
_FOREST = f"{_TREE} bootstrap max_samples n_estimators n_jobs oob_score verbose warm_start"
_BOOSTING = "ccp_alpha criterion init learning_rate loss max_depth max_features max_leaf_nodes"
_BOOSTING += " min_impurity_decrease min_samples_leaf min_samples_split min_weight_fraction_leaf"
_BOOSTING += " n_estimators n_iter_no_change random_state subsample tol validation_fraction verbose"
_BOOSTING += " warm_start"
_HISTOGRAM = "categorical_features early_stopping interaction_cst l2_regularization learning_rate"
_HISTOGRAM += " loss max_bins max_depth max_features max_iter max_leaf_nodes min_samples_leaf"
_HISTOGRAM += " monotonic_cst n_iter_no_change random_state scoring tol validation_fraction verbose"
_HISTOGRAM += " warm_start"

_NEIGHBOURS = "algorithm leaf_size metric metric_params n_jobs n_neighbors p weights"
_WORDS = "analyzer binary decode_error dtype encoding input lowercase max_df max_features min_df"
_WORDS += " ngram_range preprocessor stop_words strip_accents token_pattern tokenizer vocabulary"
_WEIGHTS = "norm smooth_idf sublinear_tf use_idf"

PARAMETERS: Final = {
    name: frozenset(parameters.split())
    for name, parameters in {
        "Pipeline": "memory steps transform_input verbose",
        "ColumnTransformer": "force_int_remainder_cols n_jobs remainder sparse_threshold"
        " transformer_weights transformers verbose verbose_feature_names_out",
        "StandardScaler": "copy with_mean with_std",
        "MinMaxScaler": "clip copy feature_range",
        "RobustScaler": "copy quantile_range unit_variance with_centering with_scaling",
        "MaxAbsScaler": "clip copy",
        "SimpleImputer": "add_indicator copy fill_value keep_empty_features missing_values"
        " strategy",
        "OneHotEncoder": "categories drop dtype feature_name_combiner handle_unknown"
        " max_categories min_frequency sparse_output",
        "FunctionTransformer": "accept_sparse check_inverse feature_names_out func inv_kw_args"
        " inverse_func kw_args validate",
        "CountVectorizer": _WORDS,
        "TfidfVectorizer": f"{_WORDS} {_WEIGHTS}",
        "TfidfTransformer": _WEIGHTS,
        "MultinomialNB": "alpha class_prior fit_prior force_alpha",
        "KNeighborsClassifier": _NEIGHBOURS,
        "KNeighborsRegressor": _NEIGHBOURS,
        "LogisticRegression": "C class_weight dual fit_intercept intercept_scaling l1_ratio"
        " max_iter multi_class n_jobs penalty random_state solver tol verbose warm_start",
        "LogisticRegressionCV": "Cs class_weight cv dual fit_intercept intercept_scaling l1_ratios"
        " max_iter multi_class n_jobs penalty random_state refit scoring solver tol"
        " use_legacy_attributes verbose",
        "SGDClassifier": f"{_GRADIENT} class_weight n_jobs",
        "RidgeClassifier": f"{_RIDGE} class_weight",
        "LinearSVC": "C class_weight dual fit_intercept intercept_scaling loss max_iter"
        " multi_class penalty random_state tol verbose",
        "LinearRegression": "copy_X fit_intercept n_jobs positive tol",
        "Ridge": _RIDGE,
        "RidgeCV": "alpha_per_target alphas cv fit_intercept gcv_mode scoring store_cv_results"
        " store_cv_values",
        "Lasso": f"{_DESCENT} warm_start",
        "LassoCV": _PATH,
        "ElasticNet": f"{_DESCENT} l1_ratio warm_start",
        "ElasticNetCV": f"{_PATH} l1_ratio",
        "BayesianRidge": "alpha_1 alpha_2 alpha_init compute_score copy_X fit_intercept lambda_1"
        " lambda_2 lambda_init max_iter tol verbose",
        "HuberRegressor": "alpha epsilon fit_intercept max_iter tol warm_start",
        "SGDRegressor": _GRADIENT,
        "DecisionTreeClassifier": f"{_TREE} class_weight splitter",
        "DecisionTreeRegressor": f"{_TREE} splitter",
        "RandomForestClassifier": f"{_FOREST} class_weight",
        "RandomForestRegressor": _FOREST,
        "ExtraTreesClassifier": f"{_FOREST} class_weight",
        "ExtraTreesRegressor": _FOREST,
        "GradientBoostingClassifier": _BOOSTING,
        "GradientBoostingRegressor": f"{_BOOSTING} alpha",
        "HistGradientBoostingClassifier": f"{_HISTOGRAM} class_weight",
        "HistGradientBoostingRegressor": f"{_HISTOGRAM} quantile",
    }.items()
}


def is_its_own(kind: type) -> bool:
    """Whether a class is the one of this name in scikit-learn."""
    module = sys.modules.get(kind.__module__)
    return kind.__module__.startswith("sklearn.") and getattr(module, kind.__name__, None) is kind


def name_of(step: Any) -> str | None:
    """The name of the step's class where that, and all of how it is set, is known; else None.

    Not known are subclasses, parameters beside those above, and what was put on the object itself:
    a method, an output container (`set_output`), requests for metadata.
    """
    kind = type(step)
    name: str = kind.__name__
    expected = PARAMETERS.get(name)
    if expected is None or not is_its_own(kind):
        return None
    own = vars(step)
    containers = own.get("_sklearn_output_config", {}).values()
    if "_metadata_request" in own or not set(containers) <= {"default", None}:
        return None
    if any(callable(getattr(kind, attribute, None)) for attribute in own):
        return None
    return name if set(step.get_params(deep=False)) <= expected else None
