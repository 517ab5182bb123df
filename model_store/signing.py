"""Signatures of versions, as the OpenSSF's model signing has them, by keys.

    model.sig: a Sigstore bundle → a DSSE envelope → an in-toto statement → the digest of each file

The command `model_signing` makes and takes the same of the folder of a version, with its `sign key`
and `verify key`. The statement lists every file of the folder but the signature itself, so also the
manifest. What changes of a model is in its head, which is not signed.

A statement is read once its signature was found to be right, and a version once its manifest and
the names of its files are those of the statement. Keys are of the curves P-256, P-384 and P-521;
statements are of whole files and sha256, as the command makes them by default. Only the package
cryptography is needed (the extra `signing`), and it is imported where something is signed or a
signature is required: the command brings thirty packages, and reads from the disk what was read
here already.

Sources: https://github.com/sigstore/model-transparency (version 1.1.1),
https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md,
https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md and
https://docs.sigstore.dev/about/bundle/.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from .errors import MissingExtra, Unsigned, words_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import (
        ECDSA,
        EllipticCurvePrivateKey,
        EllipticCurvePublicKey,
    )

SIGNATURE: Final = "model.sig"
"""The file of a version that holds its signature; the command's own default."""

LIMIT: Final = 1024 * 1024
"""Bytes of a signature, most of which are the names and digests of files."""

KEY_LIMIT: Final = 64 * 1024
"""Bytes of a file with a key."""

BUNDLE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD: Final = "application/vnd.in-toto+json"
STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://model_signing/signature/v1.0"

Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Signed(msgspec.Struct, frozen=True):
    """What a right signature says of a version: the sha256 of each file by its name, and names that
    whoever signed it left out."""

    digests: Mapping[str, str]
    ignored: frozenset[str]

    def require(self, data: bytes, name: str, where: str) -> None:
        """Do nothing where the file of this name is what was signed.

        Raises:
            Unsigned
        """
        if self.digests.get(name) != hashlib.sha256(data).hexdigest():
            raise Unsigned(f"{name} of {where} is not what was signed; sign it again.")

    def require_files(self, digests: Mapping[str, str], there: Iterable[str], where: str) -> None:
        """Do nothing where the files that the manifest lists by their digests, and those that are
        there, are exactly those that were signed.

        Raises:
            Unsigned
        """
        if dict(digests) != dict(self.digests):
            raise Unsigned(f"The files of {where} are not those that were signed; sign it again.")
        strange = sorted(set(there) - self.digests.keys() - self.ignored)
        if strange:
            raise Unsigned(
                f"The folder of {where} holds {strange[0]!r}, which was not signed; remove it."
            )


class PublicKey(msgspec.Struct, frozen=True):
    """The key by which signatures are judged: its PEM, as `openssl ec -pubout` writes it."""

    pem: str

    @classmethod
    def read(cls, pem: str) -> PublicKey:
        """The key in a PEM.

        Raises:
            MissingExtra: cryptography is not installed.
            ValueError: it is none of a curve that is taken. The message says what was expected.
        """
        return cls(_pem(_public_key(pem)))

    def __str__(self) -> str:
        return self.pem

    def signed(self, bundle: bytes, where: str) -> Signed:
        """What a signature says, once it is found to be one by this key. `where` names the version.

        Raises:
            MissingExtra, Unsigned
        """
        try:
            found = msgspec.json.decode(bundle, type=_Bundle)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Unsigned(f"{SIGNATURE} of {where} is no signature.", words_of(error)) from error
        key = _public_key(self.pem)
        hint = found.material.key.hint
        if hint is not None and hint != hashlib.sha256(self.pem.encode()).hexdigest():
            raise Unsigned(f"{where} was signed with another key.")
        envelope = found.envelope
        if not envelope.signatures or not _is_right(key, envelope):
            raise Unsigned(f"{SIGNATURE} of {where} was not made with this key, or was changed.")
        return _told(envelope.payload, where)


def sign(digests: Mapping[str, str], name: str, private_pem: bytes, password: str | None) -> bytes:
    """The signature of a folder called `name`, whose files have these digests, made with a key.

    Raises:
        MissingExtra: cryptography is not installed.
        PasswordNeeded: the key is encrypted, and there is no password.
        ValueError: it is no private key of a curve that is taken, or the password is wrong.
    """
    key = _private_key(private_pem, password)
    resources = [
        _Resource(name=file, algorithm="sha256", digest=digest)
        for file, digest in sorted(digests.items())
    ]
    statement = _Statement(
        type=STATEMENT,
        subject=[_Subject(name=name, digest=_Root(sha256=_root(resources)))],
        kind=PREDICATE,
        predicate=_Predicate(
            serialization=_Serialization(
                method="files", hash_type="sha256", ignore_paths=[SIGNATURE]
            ),
            resources=resources,
        ),
    )
    payload = msgspec.json.encode(statement)
    public = key.public_key()
    signature = key.sign(_encoded(payload), _algorithm(public))
    bundle = _Bundle(
        media=BUNDLE,
        material=_Material(key=_Hint(hint=hashlib.sha256(_pem(public).encode()).hexdigest())),
        envelope=_Envelope(payload=payload, kind=PAYLOAD, signatures=[_Signature(sig=signature)]),
    )
    return msgspec.json.encode(bundle)


class PasswordNeeded(Exception):
    """The private key is encrypted."""


# The format ----------------------------------------------------------------------


class _Hint(msgspec.Struct, frozen=True):
    hint: str | None = None


class _Material(msgspec.Struct, frozen=True):
    key: _Hint = msgspec.field(name="publicKey")
    entries: list[msgspec.Raw] = msgspec.field(name="tlogEntries", default_factory=list)


class _Signature(msgspec.Struct, frozen=True):
    sig: bytes
    keyid: str = ""


class _Envelope(msgspec.Struct, frozen=True):
    payload: bytes
    kind: Literal["application/vnd.in-toto+json"] = msgspec.field(name="payloadType")
    signatures: list[_Signature]


class _Bundle(msgspec.Struct, frozen=True):
    media: Literal["application/vnd.dev.sigstore.bundle.v0.3+json"] = msgspec.field(
        name="mediaType"
    )
    material: _Material = msgspec.field(name="verificationMaterial")
    envelope: _Envelope = msgspec.field(name="dsseEnvelope")


class _Root(msgspec.Struct, frozen=True):
    sha256: Digest


class _Subject(msgspec.Struct, frozen=True):
    name: str
    digest: _Root


class _Resource(msgspec.Struct, frozen=True):
    name: str
    algorithm: Literal["sha256"]
    digest: Digest


class _Serialization(msgspec.Struct, frozen=True):
    method: Literal["files"]
    hash_type: Literal["sha256"]
    allow_symlinks: bool = False
    ignore_paths: list[str] = []


class _Predicate(msgspec.Struct, frozen=True):
    serialization: _Serialization
    resources: list[_Resource]


class _Statement(msgspec.Struct, frozen=True):
    type: Literal["https://in-toto.io/Statement/v1"] = msgspec.field(name="_type")
    subject: Annotated[list[_Subject], msgspec.Meta(min_length=1, max_length=1)]
    kind: Literal["https://model_signing/signature/v1.0"] = msgspec.field(name="predicateType")
    predicate: _Predicate


def _told(payload: bytes, where: str) -> Signed:
    """What a statement says, whose signature is right."""
    try:
        statement = msgspec.json.decode(payload, type=_Statement)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unsigned(
            f"{where} was signed in a way that is not read here; sign whole files by sha256, as "
            "quart-app models sign does.",
            words_of(error),
        ) from error
    resources = statement.predicate.resources
    digests = {resource.name: resource.digest for resource in resources}
    root = statement.subject[0].digest.sha256
    if len(digests) != len(resources) or root != _root(resources):
        raise Unsigned(f"The signature of {where} contradicts itself; sign it again.")
    ignored = {SIGNATURE, *statement.predicate.serialization.ignore_paths}
    return Signed(digests, frozenset(ignored))


def _root(resources: Iterable[_Resource]) -> str:
    """The digest of all digests, in the order in which they are listed."""
    return hashlib.sha256(b"".join(bytes.fromhex(each.digest) for each in resources)).hexdigest()


def _encoded(payload: bytes) -> bytes:
    """What is signed of a payload (PAE, DSSE v1)."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload)


# Keys ----------------------------------------------------------------------------


def _is_right(key: EllipticCurvePublicKey, envelope: _Envelope) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(envelope.signatures[0].sig, _encoded(envelope.payload), _algorithm(key))
    except InvalidSignature:
        return False
    return True


def _algorithm(key: EllipticCurvePublicKey) -> ECDSA:
    """ECDSA with the hash that goes with the curve."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

    digests = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
    return ECDSA(digests[key.curve.key_size])


def _public_key(pem: str) -> EllipticCurvePublicKey:
    _require_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, EllipticCurvePublicKey) or key.curve.name not in _CURVES:
        raise ValueError("a public key in PEM, of the curve P-256, P-384 or P-521")
    return key


def _private_key(pem: bytes, password: str | None) -> EllipticCurvePrivateKey:
    _require_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, None if password is None else password.encode())
    except TypeError as error:  # a password where none is wanted, or none where one is
        if password is None:
            raise PasswordNeeded from error
        return _private_key(pem, None)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, EllipticCurvePrivateKey) or key.curve.name not in _CURVES:
        raise ValueError(
            "a private key in PEM, of the curve P-256, P-384 or P-521, and its password if it has "
            "one"
        )
    return key


_CURVES: Final = frozenset({"secp256r1", "secp384r1", "secp521r1"})


def _pem(key: EllipticCurvePublicKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _require_cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise MissingExtra(
            "Signatures need the package cryptography: pip install 'quart-app[signing]'."
        ) from error
