"""Signatures: made and judged as the OpenSSF's command does, before a version is read."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from model_store import ModelStore
from model_store.errors import CorruptVersion, ModelStoreError, Unsigned
from model_store.metadata import Metadata
from model_store.signing import SIGNATURE, PasswordNeeded, PublicKey, sign
from quart_app import create_app

from ..conftest import started
from ..documents import ROOT, commands

ELSEWHERE = json.loads((Path(__file__).parent / "signed_elsewhere.json").read_text())
"""What model_signing 1.1.1 signed with `sign key`, a key of each curve."""

KEY = ec.generate_private_key(ec.SECP256R1())


def private(key: Any = KEY, password: bytes | None = None) -> bytes:
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))


def public(key: Any = KEY) -> PublicKey:
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return PublicKey.read(pem.decode())


@pytest.fixture
def strict(store: ModelStore) -> ModelStore:
    """The store, of which signed versions alone are read; `exam` is signed."""
    store.sign("exam", None, private())
    return ModelStore(store.root, public_key=public())


@pytest.mark.parametrize("made", ELSEWHERE, ids=lambda made: made["curve"])
def test_what_the_command_has_signed_is_taken(made: dict[str, Any]) -> None:
    bundle = json.dumps(made["bundle"]).encode()
    signed = PublicKey.read(made["public_key"]).signed(bundle, "it")
    assert signed.digests == made["files"]
    signed.require_files(made["files"], [*made["files"], SIGNATURE, ".gitignore"], "it")
    with pytest.raises(Unsigned, match="another key"):
        public().signed(bundle, "it")


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_what_is_signed_with_a_key_is_proven_by_its_public_key_alone(
    curve: ec.EllipticCurve,
) -> None:
    key = ec.generate_private_key(curve)
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("b", "a/c", "é")}
    bundle = sign(digests, "1", private(key), None)
    assert public(key).signed(bundle, "it").digests == digests
    # Without the hint the signature itself tells.
    told = json.loads(bundle)
    del told["verificationMaterial"]["publicKey"]["hint"]
    bundle = json.dumps(told).encode()
    assert public(key).signed(bundle, "it").digests == digests
    with pytest.raises(Unsigned, match="not made with this key"):
        public(ec.generate_private_key(curve)).signed(bundle, "it")


def test_a_key_may_have_a_password() -> None:
    pem = private(password=b"secret")
    public().signed(sign({}, "1", pem, "secret"), "it")
    public().signed(sign({}, "1", private(), "not needed"), "it")
    with pytest.raises(PasswordNeeded):
        sign({}, "1", pem, None)
    with pytest.raises(ValueError, match="its password"):
        sign({}, "1", pem, "guess")


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256K1()),
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
    ],
    ids=["another curve", "RSA"],
)
def test_other_keys_are_refused(key: Any) -> None:
    with pytest.raises(ValueError, match="P-256"):
        sign({}, "1", private(key), None)
    with pytest.raises(ValueError, match="P-256"):
        public(key)


def resigned(change: Callable[[dict[str, Any]], Any]) -> bytes:
    """A right signature of a changed statement."""
    bundle = json.loads(sign({"a": "0" * 64, "b": "1" * 64}, "1", private(), None))
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    change(statement)
    payload = json.dumps(statement).encode()
    kind = bundle["dsseEnvelope"]["payloadType"].encode()
    encoded = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    signature = KEY.sign(encoded, ec.ECDSA(SHA256()))
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    return json.dumps(bundle).encode()


# Statements that nobody makes by `sign key` as it is: what is changed, and what is said of it.
ODD: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "another root": (
        lambda it: it["subject"][0]["digest"].update(sha256="0" * 64),
        "contradicts itself",
    ),
    "a name twice": (
        lambda it: it["predicate"]["resources"][1].update(name="a"),
        "contradicts itself",
    ),
    "shards": (lambda it: it["predicate"]["serialization"].update(method="shards"), "not read"),
    "another hash": (
        lambda it: it["predicate"]["resources"][0].update(algorithm="md5"),
        "not read",
    ),
    "another predicate": (lambda it: it.update(predicateType="x"), "not read"),
    "another statement": (lambda it: it.update(_type="x"), "not read"),
    "two subjects": (lambda it: it["subject"].append(it["subject"][0]), "not read"),
    "no subject": (lambda it: it.update(subject=[]), "not read"),
}


@pytest.mark.parametrize("case", ODD)
def test_a_statement_of_another_kind_is_refused_though_it_is_signed(case: str) -> None:
    change, sentence = ODD[case]
    public().signed(resigned(lambda it: None), "it")
    with pytest.raises(Unsigned, match=sentence):
        public().signed(resigned(change), "it")


# Signatures that are none: what is changed in the bundle.
BROKEN: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no signature": lambda it: it["dsseEnvelope"].update(signatures=[]),
    "empty": lambda it: it["dsseEnvelope"]["signatures"][0].update(sig=""),
    "no base64": lambda it: it["dsseEnvelope"]["signatures"][0].update(sig="%"),
    "another payload": lambda it: it["dsseEnvelope"].update(payload="e30="),
    "another type": lambda it: it["dsseEnvelope"].update(payloadType="text/plain"),
    "another bundle": lambda it: it.update(mediaType="x"),
    "no envelope": lambda it: it.pop("dsseEnvelope"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_signature_is_refused(case: str) -> None:
    bundle = json.loads(sign({}, "1", private(), None))
    BROKEN[case](bundle)
    for data in (json.dumps(bundle).encode(), b"", b"\xff", b"[" * 100_000):
        with pytest.raises(Unsigned):
            public().signed(data, "it")


# Versions ------------------------------------------------------------------------


def test_a_signed_version_is_read_and_one_without_a_signature_is_not(strict: ModelStore) -> None:
    strict.load(strict.verify("exam")).replay()
    strict.verify("exam", pickles="always")
    for read in (strict.manifest, strict.verify):
        with pytest.raises(Unsigned, match=r"iris version 1 is not signed, and a signature is"):
            read("iris")


# What somebody does to the folder of a signed version.
CHANGES: dict[str, Callable[[Path], Any]] = {
    "another manifest": lambda folder: (folder / "manifest.json").write_bytes(
        (folder / "manifest.json").read_bytes().replace(b"Exam", b"Test", 1)
    ),
    "a manifest that is no JSON": lambda folder: (folder / "manifest.json").write_bytes(b"["),
    "a file that is not read": lambda folder: os.truncate(folder / "pipeline.joblib", 10),
    "the form": lambda folder: (folder / "model.bin").write_bytes(b"x"),
    "a file gone": lambda folder: (folder / "pipeline.joblib").unlink(),
    "a file more": lambda folder: (folder / "code.py").write_text("x"),
    "a folder more": lambda folder: (folder / "more").mkdir(),
    "a link": lambda folder: (folder / "more").symlink_to("/etc/passwd"),
    "no signature": lambda folder: (folder / SIGNATURE).unlink(),
    "an empty signature": lambda folder: (folder / SIGNATURE).write_bytes(b""),
    "a large signature": lambda folder: os.truncate(folder / SIGNATURE, 10**9),
    "a signature elsewhere": lambda folder: os.symlink(
        (folder / SIGNATURE).rename(folder.parent / "its"), folder / SIGNATURE
    ),
    "the signature of another version": lambda folder: (folder / SIGNATURE).write_bytes(
        (folder.parents[1] / "iris" / "1" / SIGNATURE).read_bytes()
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_is_read_of_a_version_that_is_not_what_was_signed(
    change: str, strict: ModelStore
) -> None:
    strict.sign("iris", None, private())
    CHANGES[change](strict.root / "exam" / "1")
    with pytest.raises((Unsigned, CorruptVersion)):
        strict.verify("exam")
    if change not in {"a file that is not read", "the form", "a file gone"}:
        with pytest.raises((Unsigned, CorruptVersion)):
            strict.manifest("exam")


def test_the_folder_of_another_model_is_none_of_this_one_though_it_is_signed(
    strict: ModelStore,
) -> None:
    (strict.root / "exam").rename(strict.root / "iris2")
    with pytest.raises(CorruptVersion, match="holds the manifest of exam"):
        strict.verify("iris2")


def test_aliases_and_words_change_without_another_signature(strict: ModelStore) -> None:
    strict.promote("exam", 1, "best")
    strict.edit("exam", "best", Metadata(title="The exam"))
    assert strict.verify("exam", "best").manifest.title == "The exam"


def test_a_folder_with_something_else_in_it_is_not_signed(store: ModelStore) -> None:
    (store.root / "exam" / "1" / "notes.txt").write_text("x")
    with pytest.raises(CorruptVersion, match=r"notes\.txt.* Remove it before"):
        store.sign("exam", None, private())
    os.truncate(store.root / "iris" / "1" / "pipeline.joblib", 10)
    with pytest.raises(ModelStoreError, match="publish it again"):
        store.sign("iris", None, private())


def test_a_copy_is_signed_as_well(strict: ModelStore, tmp_path: Path) -> None:
    strict.copy(strict.verify("exam"), tmp_path / "copy")
    ModelStore(tmp_path / "copy", public_key=public()).verify("exam")


@pytest.mark.process
def test_the_commands_of_the_guide_sign_a_version_and_prove_it(
    store: ModelStore, tmp_path: Path
) -> None:
    guide = (ROOT / "docs" / "models.md").read_text().partition("\n## Signatures\n")[2]
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "QUART_APP_MODEL_STORE": str(store.root),
    }
    # The guide's own model stands for one of the store's.
    ran = commands(guide.partition("\n## ")[0].replace("churn", "exam"))
    assert len(ran) == 4
    for command, output in ran:
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout) == (0, output), done.stderr
    strict = environment | {"QUART_APP_REQUIRE_SIGNATURE": str(tmp_path / "signing.pub")}
    for options, status, sentence in (
        (["models", "verify", "iris"], 1, "iris version 1 is not signed"),
        (["models", "list"], 0, "failed: iris version 1 is not signed"),
        (["models", "sign", "iris", "--key", "signing.pub"], 2, "expected a private key in PEM"),
    ):
        done = subprocess.run(
            ["quart-app", *options], cwd=tmp_path, env=strict, capture_output=True, text=True
        )
        assert done.returncode == status
        assert sentence in done.stdout + done.stderr


async def test_a_server_serves_what_is_signed_alone(strict: ModelStore) -> None:
    settings: dict[str, Any] = {"REQUIRE_SIGNATURE": public(), "RECIPES": ""}
    async with started(create_app(MODEL_STORE=strict.root, **settings)) as app:
        client = app.test_client()
        for name, status in (("exam", 200), ("iris", 503)):
            answer = await client.get(f"/models/{name}")
            told = await answer.get_json()
            assert ("is not signed" in (told["reason"] or "")) == (status == 503)
            answer = await client.post(f"/models/{name}/predict", json={"X1": 61.1, "X2": 17.3})
            assert answer.status_code == status


@pytest.mark.clients
def test_the_command_agrees_on_the_same_folder_both_ways(store: ModelStore, tmp_path: Path) -> None:
    command = _command()
    (tmp_path / "key").write_bytes(private())
    (tmp_path / "key.pub").write_text(str(public()))
    strict = ModelStore(store.root, public_key=public())
    ours, theirs = store.root / "exam" / "1", store.root / "iris" / "1"

    def run(what: str, folder: Path, *options: str) -> int:
        arguments = [what, "key", str(folder), "--signature", str(folder / SIGNATURE), *options]
        return subprocess.run([command, *arguments], capture_output=True, check=False).returncode

    def verified(folder: Path) -> bool:
        return run("verify", folder, "--public_key", str(tmp_path / "key.pub")) == 0

    store.sign("exam", None, private())
    assert run("sign", theirs, "--private_key", str(tmp_path / "key")) == 0
    for name, folder in (("exam", ours), ("iris", theirs)):
        assert verified(folder)
        strict.verify(name)
        (folder / "more").write_text("x")
        assert not verified(folder)
        with pytest.raises(Unsigned):
            strict.verify(name)
        (folder / "more").unlink()
        os.truncate(folder / "pipeline.joblib", 10)
        assert not verified(folder)
        with pytest.raises(CorruptVersion):
            strict.verify(name)


def _command() -> str:
    venvs = os.environ.get("CLIENT_VENVS")
    if venvs is None:
        if os.environ.get("REQUIRE_CLIENTS") == "1":
            pytest.fail("CLIENT_VENVS names no folder.")
        pytest.skip("This test needs the environment that `make clients` makes.")
    return str(Path(venvs).absolute() / "signing" / "bin" / "model_signing")
