from __future__ import annotations

from typing import Any

import pytest
from quart.routing import QuartRule
from werkzeug.routing import Map
from werkzeug.routing import Rule as PlainRule

from quart_app import create_app
from quart_app.lazy_rules import Rule

ADDRESSES: list[tuple[str, dict[str, Any], str]] = [
    ("/models", {}, "/models"),
    ("/models/<name>/predict", {"name": "a b/é"}, "/models/a%20b/%C3%A9/predict"),
    ("/v2/<path:rest>", {"rest": "a/b"}, "/v2/a/b"),
    ("/<int(fixed_digits=3):number>", {"number": 7, "page": "x y"}, "/007?page=x+y"),
]


@pytest.mark.parametrize(("pattern", "values", "address"), ADDRESSES)
def test_an_address_is_built_as_with_the_rule_of_quart(
    pattern: str, values: dict[str, Any], address: str
) -> None:
    for kind in (Rule, QuartRule):
        addresses = Map([kind(pattern, endpoint="here", methods=["GET"])]).bind("host")
        assert [addresses.build("here", values) for _ in range(2)] == [address] * 2


def test_an_app_compiles_no_builder_before_an_address_is_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled: list[str] = []
    compile_builder: Any = vars(PlainRule)["_compile_builder"]

    def observed(rule: PlainRule, append_unknown: bool = True) -> Any:
        compiled.append(rule.rule)
        return compile_builder(rule, append_unknown)

    monkeypatch.setattr(PlainRule, "_compile_builder", observed)
    app = create_app(RECIPES="")
    own = {rule.rule for rule in app.url_map.iter_rules() if isinstance(rule, Rule)}
    assert len(own) > 50
    assert own.isdisjoint(compiled)
    built = app.url_map.bind("host").build("pages.models")
    assert compiled.count(built) == 1
