"""Vendor errors become errors of this library here, and nowhere else.

obstore's messages run over many lines and may hold signed URLs, so they are never shown: a message is built from
harmless parts only, and the cause kept for debugging is scrubbed first.
"""

from __future__ import annotations

import errno
import re
from functools import cache
from typing import TYPE_CHECKING, Final

from lakefolio.errors import (
    AlreadyExistsError,
    InvalidInputError,
    LakefolioError,
    LakeNotFoundError,
    NotFoundError,
    StorageError,
)
from lakefolio.redaction import scrub

if TYPE_CHECKING:
    from lakefolio.storage.store import Store

__all__ = [
    "cause",
    "is_broken",
    "is_missing",
    "is_panic",
    "is_vendor_error",
    "kinds",
    "status_of",
    "translate",
]

_KINDS: Final[dict[type[BaseException], str]] = {
    FileNotFoundError: "object-not-found",
    IsADirectoryError: "object-not-found",
    FileExistsError: "object-exists",
    NotADirectoryError: "not-a-directory",
    PermissionError: "permission-denied",
    TimeoutError: "timeout",
    ConnectionError: "connection",
}
_ERRNO: Final = {
    errno.ENOSPC: "no-space",
    errno.EDQUOT: "no-space",
    errno.EFBIG: "no-space",
    errno.EROFS: "permission-denied",
    errno.ENAMETOOLONG: "bad-key",
    errno.ENOTDIR: "not-a-directory",
    errno.ELOOP: "link",
    errno.ENXIO: "not-a-file",
    errno.EOPNOTSUPP: "no-hard-links",
    errno.EXDEV: "no-hard-links",
}

_CODES: Final = {
    "NoSuchBucket": "bucket-not-found",
    "ContainerNotFound": "bucket-not-found",
    "NoSuchKey": "object-not-found",
    "BlobNotFound": "object-not-found",
    "InvalidAccessKeyId": "unauthenticated",
    "SignatureDoesNotMatch": "unauthenticated",
    "InvalidToken": "unauthenticated",
    "ExpiredToken": "unauthenticated",
    "TokenRefreshRequired": "unauthenticated",
    "AuthenticationFailed": "unauthenticated",
    "InvalidAuthenticationInfo": "unauthenticated",
    "RequestTimeTooSkewed": "unauthenticated",
    "AccessDenied": "permission-denied",
    "AuthorizationFailure": "permission-denied",
    "AllAccessDisabled": "permission-denied",
    "SlowDown": "throttled",
    "ServerBusy": "throttled",
    "TooManyRequests": "throttled",
    "QuotaExceeded": "no-space",
    "PermanentRedirect": "wrong-region",
    "IllegalLocationConstraintException": "wrong-region",
    "AuthorizationHeaderMalformed": "unauthenticated",
    "InvalidObjectState": "archived",
    "BlobArchived": "archived",
    "BlobBeingRehydrated": "archived",
}

_STATUSES: Final = {
    401: "unauthenticated",
    403: "permission-denied",
    404: "object-not-found",
    429: "throttled",
    503: "throttled",
}

_WHAT: Final = {
    "object-not-found": "there is no such object",
    "bucket-not-found": "the bucket does not exist",
    "wrong-region": "the bucket lies in another region",
    "object-exists": "an object is there already",
    "permission-denied": "permission denied",
    "unauthenticated": "the credentials were not accepted",
    "precondition": "a condition of the request did not hold",
    "not-supported": "this kind of store can't do that",
    "not-a-directory": "a file lies where a folder is expected",
    "link": "a symbolic link lies on the way, and a lake follows none below its root",
    "not-a-file": "it is no regular file",
    "no-space": "no space is left",
    "no-hard-links": "the file system can't create a file without replacing one (it has no hard links)",
    "timeout": "no answer came in time",
    "connection": "the server could not be reached",
    "throttled": "the store asks to slow down, and still did after several retries",
    "bad-key": "the store can't use this key",
    "archived": "the object is archived and can't be read before it is restored",
    "unknown-option": "an option is not known",
    "storage": "the store failed",
    "panic": "its client failed in a way that it does not foresee",
}

_CLOUD_HINTS: Final = {
    "panic": "check storage_options and the environment (keys, endpoint) for odd characters",
    "s3": "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), AWS_PROFILE, or storage_options",
    "gs": "check GOOGLE_APPLICATION_CREDENTIALS or storage_options",
    "az": "check AZURE_STORAGE_ACCOUNT_NAME and its key, SAS token or client secret, or storage_options",
    "http": "the server wants credentials that lakefolio was not given",
}

_HINTS: Final = {
    "panic": "check storage_options and the environment (keys, endpoint) for odd characters",
    "bucket-not-found": "check its name and region, or create it first",
    "wrong-region": "set AWS_REGION, or region in storage_options, to the region of the bucket",
    "not-a-directory": "choose another path for the lake",
    "link": "put what it points to in its place; the root of a lake may be a link",
    "not-a-file": "a lake holds regular files only; remove it",
    "no-space": "free some space, then try again; nothing was stored",
    "no-hard-links": "put the lake on a file system with hard links",
    "timeout": "check the network and the endpoint, then try again",
    "connection": "check the network, the proxy and the endpoint, then try again",
    "throttled": "try again later, or with fewer writers at once",
    "archived": "restore it (S3: aws s3api restore-object; Azure: change its tier), wait until that is done, try again",
    "storage": "try again; if it stays, check the endpoint and how the server is",
}

_CODE_WHAT: Final = {
    "EFBIG": "the object is larger than the file system or a limit allows",
    "EROFS": "the file system is read-only",
    "EIO": "the disk or the network drive failed",
    "ESTALE": "the network drive lost the file",
    "EMFILE": "too many files are open",
    "ENFILE": "too many files are open",
}
"""Where the code of the operating system says better than the kind what happened."""

_CODE_HINTS: Final = {
    "EDQUOT": "your quota is used up: free some space or ask for more, then try again; nothing was stored",
    "EFBIG": "raise the limit (ulimit -f), or put the lake on a file system without one (FAT has 4 GiB a file)",
    "EROFS": "mount it for writing, or copy the lake to another place",
    "EIO": "look into the log of the system (dmesg) and at the disk or the network drive",
    "ESTALE": "look at the network drive; mount it again if it stays",
    "EMFILE": "raise the limit (ulimit -n), or use fewer threads and lakes at once",
    "ENFILE": "close other programs, or raise the limit of the system (fs.file-max)",
    "ExpiredToken": "the session is over: log in again (aws sso login), or set new keys with their AWS_SESSION_TOKEN",
    "TokenRefreshRequired": "the session is over: log in again (aws sso login), or set new keys with their token",
    "RequestTimeTooSkewed": "set the clock of this computer: it differs from that of the store by minutes",
}
"""Where the code of the store, or of the operating system, says better than the kind what to do."""

_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
_CLASS = re.compile(r"<(?:StorageClass|AccessTier)>([A-Z_]{1,40})<")
_STATUS = re.compile(r"status code: (\d{3})")
_REGION = re.compile(r"<Region>([a-z0-9-]{1,40})</Region>")
_SERVER = re.compile(r"\b(https?://[A-Za-z0-9.:\[\]-]{1,200})/")
_UNREACHED: Final = {
    "dns error": "its name could not be resolved",
    "Connection refused": "connection refused",
    "ConnectionRefused": "connection refused",
    "InvalidContentType": "it does not speak https; perhaps http",
    "invalid peer certificate": "its certificate is not trusted",
    "kind: Connect": "no connection",
    "kind: Request": "the connection broke",
    "kind: Interrupted": "the connection broke",
    "kind: Decode": "the connection broke",
    "BadScheme": "plain http is not allowed",
}
"""What signs in the text of an error without an answer mean; the first that is found counts."""


@cache
def kinds() -> dict[type[BaseException], str]:
    """Return what each builtin and vendor error means before its text is looked at.

    The first call imports obstore, which a local folder does not need.
    """
    from obstore import exceptions as vendor

    return {
        vendor.AlreadyExistsError: "object-exists",
        vendor.NotFoundError: "object-not-found",
        vendor.PermissionDeniedError: "permission-denied",
        vendor.UnauthenticatedError: "unauthenticated",
        vendor.PreconditionError: "precondition",
        vendor.NotModifiedError: "precondition",
        vendor.NotSupportedError: "not-supported",
        vendor.InvalidPathError: "bad-key",
        vendor.UnknownConfigurationKeyError: "unknown-option",
        vendor.JoinError: "storage",
        vendor.GenericError: "storage",
        vendor.BaseError: "storage",
        **_KINDS,
    }


def is_panic(exc: BaseException) -> bool:
    """Say whether a Rust library panicked: such an exception is not an Exception, and each library has its own class.

    Source: PyO3, ``pyo3::panic::PanicException``.
    """
    return type(exc).__name__ == "PanicException" and type(exc).__module__ == "pyo3_runtime"


def is_vendor_error(exc: BaseException) -> bool:
    """Say whether an exception comes from a call of obstore; callers let any other exception pass.

    RuntimeError and ValueError come from options and credential providers.
    """
    return isinstance(exc, (OSError, ValueError, RuntimeError, *kinds())) or is_panic(exc)


def status_of(exc: BaseException) -> int | None:
    """Return the HTTP status of a vendor error, or None if no answer came."""
    found = _STATUS.search(str(exc))
    return int(found.group(1)) if found else None


def is_missing(exc: BaseException) -> bool:
    """Say whether an error means only that the object does not exist; called for each poll that finds nothing new."""
    return _named_kind(exc) == "object-not-found" and _kind_of(exc)[0] == "object-not-found"


def is_broken(exc: BaseException, kind: str) -> bool:
    """Say whether a request reached a server but no answer came back, so that it may have had its effect."""
    text = str(exc)
    return kind in ("connection", "timeout") and not any(
        sign in text for sign in ("kind: Connect", "Connection refused", "ConnectionRefused", "dns error", "BadScheme")
    )


def cause(exc: BaseException) -> BaseException:
    """Return ``exc``, or a copy of it without the secrets in its text, to be kept as the cause."""
    text = str(exc)
    clean = scrub(text)
    if is_panic(exc):
        return RuntimeError(f"the client of the store panicked: {clean}")
    if clean == text or isinstance(exc, LakefolioError):
        return exc
    try:
        return type(exc)(clean)
    except Exception:
        return RuntimeError(clean)


def _named_kind(exc: BaseException) -> str:
    """Return what the class of an error means."""
    known = _KINDS if isinstance(exc, OSError) else kinds()
    return next((known[base] for base in type(exc).__mro__ if base in known), "storage")


def _kind_of(exc: BaseException) -> tuple[str, str]:
    """Return the kind of an error and, for the message, a harmless word on where it comes from."""
    kind = _named_kind(exc)
    text = str(exc)
    if is_panic(exc):
        return "panic", ""
    if isinstance(exc, OSError) and exc.errno is not None:
        kind = _ERRNO.get(exc.errno, kind)
        return kind, "" if kind.startswith("object-") else errno.errorcode.get(exc.errno, "")
    if kind in ("object-exists", "precondition", "not-supported", "unknown-option", "bad-key"):
        return kind, ""
    code = _CODE.search(text)
    status = status_of(exc)
    origin = ", ".join([*([f"status {status}"] if status else []), *([code.group(1)] if code else [])])
    if code and code.group(1) in _CODES:
        found = _CODES[code.group(1)]
        if found == "archived" and (where := _CLASS.search(text)):
            return found, f"storage class {where.group(1)}"
        if region := _REGION.search(text):  # the region that the bucket lies in; another was signed for
            return "wrong-region", f"{region.group(1)}, {origin}"
        return found, origin
    if status is not None:
        return (_STATUSES.get(status, "storage") if kind == "storage" else kind), origin
    if kind != "storage":
        return kind, origin
    if "kind: Timeout" in text or "operation timed out" in text or "deadline has elapsed" in text:
        return "timeout", ""
    if "redirect without LOCATION" in text:  # what S3 answers for a bucket of another region; the body is not told
        return "wrong-region", ""
    for sign, meaning in _UNREACHED.items():
        if sign in text:
            server = _SERVER.search(text)
            return "connection", f"{server.group(1)}: {meaning}" if server else meaning
    return "storage", ""


def translate(exc: BaseException, action: str, key: str, store: Store) -> LakefolioError:
    """Return the library's error for a vendor error; raise it ``from cause(exc)``.

    Args:
        exc: What the store, or the operating system, raised.
        action: The verb for the message: "could not <action> <key>".
        key: The key or prefix it was about.
        store: Where.
    """
    if isinstance(exc, LakefolioError):
        return exc
    for inner in (exc.__cause__, exc.__context__):  # the context may also be any error the caller is handling
        if isinstance(inner, StorageError) and inner.kind == "unauthenticated":
            return inner  # raised by a credential provider, passed through vendor code
    kind, origin = _kind_of(exc)
    what = _CODE_WHAT.get(origin, _WHAT[kind]) + (f" ({origin})" if origin else "")
    message = f"could not {action} {key!r} in {store.uri}: {what}"
    hint = _HINTS.get(kind)
    if kind in ("permission-denied", "unauthenticated"):
        hint = _CLOUD_HINTS.get(store.scheme, "check who owns the folder and its permissions")
    hint = next((better for code, better in _CODE_HINTS.items() if code in origin), hint)
    facts = {"key": key, "uri": store.uri}
    if kind == "object-not-found":
        return NotFoundError(message, kind=kind, hint=hint, **facts)
    if kind == "bucket-not-found":
        return LakeNotFoundError(message, kind=kind, hint=hint, **facts)
    if kind == "object-exists":
        return AlreadyExistsError(message, kind=kind, hint=hint, **facts)
    if kind in ("bad-key", "unknown-option"):
        return InvalidInputError(message, kind=kind, hint=hint, **facts)
    return StorageError(message, kind=kind, hint=hint, **facts)
