"""Open a bucket of S3, or of a server that speaks its protocol: region, endpoint, addressing and credentials.

Each is taken from the options, else from the environment, else from the AWS profile, as the tools of AWS do it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from obstore import store as vendor

from lakefolio.errors import InvalidInputError
from lakefolio.storage import aws
from lakefolio.storage.addresses import Location, check_host_part
from lakefolio.storage.object_store import RemoteStore
from lakefolio.storage.options import CLIENT, RETRY, for_delta, truthy
from lakefolio.storage.store import Store

__all__ = ["open_s3"]

_HOST_AND_PORT: Final = re.compile(r"[A-Za-z0-9.-]{1,100}:\d{1,5}")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


def open_s3(location: Location, options: dict[str, str], client: Any, retry: Any) -> Store:
    """Return the store of a bucket. Makes no request.

    Args:
        location: The bucket and the prefix.
        options: The user's options, normalised.
        client: Options of the HTTP client; gets ``allow_http`` for a plain endpoint.
        retry: Options of retries.

    Raises:
        InvalidInputError: kind ``bad-option``, ``unknown-profile``.
        StorageError: kind ``unauthenticated``, if there are no credentials.
    """
    rest = {name: value for name, value in options.items() if name not in CLIENT | RETRY}
    profile = rest.pop("profile", None)
    for name in ("s3_allow_unsafe_rename", "s3_locking_provider", "conditional_put"):
        rest.pop(name, None)
    settings = aws.ProfileSettings()
    if profile or os.environ.get("AWS_PROFILE") or aws.has_config_file():
        settings = aws.profile_settings(profile)
    region = _region(rest, settings)
    endpoint = _endpoint(rest, settings)
    virtual = _virtual_hosted(rest, settings.addressing_style, endpoint, location.bucket)
    if virtual and endpoint:
        # object_store wants the bucket in the endpoint then, AWS tools put it there themselves.
        parts = urlsplit(endpoint)
        if not parts.netloc.startswith(f"{location.bucket}."):
            endpoint = parts._replace(netloc=f"{location.bucket}.{parts.netloc}").geturl()
    if endpoint.startswith("http://"):
        client["allow_http"] = True
    provide = _credentials(rest, profile)
    config: Any = {**rest, "region": region, "virtual_hosted_style_request": virtual}
    if endpoint:
        # Both, since AWS_ENDPOINT_URL_S3 of the environment would win over an explicit endpoint.
        config |= {"endpoint": endpoint, "aws_endpoint_url_s3": endpoint}
    opened = vendor.S3Store(
        location.bucket,
        config=config,
        client_options=client,
        retry_config=retry,
        credential_provider=provide,
    )
    fixed = for_delta("aws_", rest) | {
        "aws_region": region,
        "aws_virtual_hosted_style_request": str(virtual).lower(),
        "aws_conditional_put": "etag",
    }
    if endpoint:
        fixed |= {"aws_endpoint_url": endpoint, "aws_endpoint_url_s3": endpoint}
    if client.get("allow_http"):
        fixed["aws_allow_http"] = "true"
    fixed |= {name: options[name] for name in (CLIENT | RETRY) & options.keys()}
    return RemoteStore(
        "s3",
        location.uri,
        opened,
        prefix=location.prefix,
        delta_options=lambda: fixed | _keys_for_delta(provide),
        given=options,
    )


def _region(rest: dict[str, str], settings: aws.ProfileSettings) -> str:
    of_environment = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    region = rest.pop("region", None) or of_environment or settings.region or "us-east-1"
    check_host_part("aws_region", region)
    return region


def _endpoint(rest: dict[str, str], settings: aws.ProfileSettings) -> str:
    """Take the endpoint out of the options; "" is that of AWS."""
    found = rest.pop("endpoint", None)
    if not found and not truthy(os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")):
        found = next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), None) or settings.endpoint
    endpoint = (found or "").rstrip("/")
    if "@" in endpoint:
        raise InvalidInputError(
            "the endpoint URL holds credentials",
            kind="bad-option",
            hint="give them as aws_access_key_id and aws_secret_access_key",
            option="endpoint",
        )
    if endpoint and not urlsplit(endpoint).netloc:
        named = f" {endpoint!r}" if _HOST_AND_PORT.fullmatch(endpoint) else ""  # anything else might be a secret
        raise InvalidInputError(
            f"the endpoint{named} is not a URL",
            kind="bad-option",
            hint="write it with http:// or https:// before it",
            option="endpoint",
        )
    return endpoint


def _keys_for_delta(provide: Callable[[], Any] | None) -> dict[str, str]:
    """Return the keys that are valid now; none for unsigned requests."""
    if provide is None:
        return {}
    found = provide()
    keys = {"aws_access_key_id": found["access_key_id"], "aws_secret_access_key": found["secret_access_key"]}
    return keys | ({"aws_session_token": found["token"]} if found["token"] else {})


def _virtual_hosted(rest: dict[str, str], of_profile: str | None, endpoint: str, bucket: str) -> bool:
    """Decide between bucket.host and host/bucket: as told, else by path on a custom endpoint, else by host on AWS."""
    flag = rest.pop("virtual_hosted_style_request", None)
    style = (rest.pop("addressing_style", None) or "auto").lower()
    if style not in ("path", "virtual", "auto"):
        raise InvalidInputError(
            f"option aws_s3_addressing_style is {style[:40]!r}, expected path, virtual or auto",
            kind="bad-option",
            option="addressing_style",
        )
    if flag is None:
        flag = os.environ.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST")
    if flag is not None:
        return truthy(flag)
    if style == "auto":
        style = of_profile or "auto"
    if style in ("path", "virtual"):
        return style == "virtual"
    return not endpoint and "." not in bucket  # TLS certificates of AWS don't cover buckets with dots


def _credentials(rest: dict[str, str], profile: str | None) -> Callable[[], Any] | None:
    """Take the keys out of the options and return what provides credentials; None means unsigned requests.

    Always a provider: static keys given to obstore would be mixed with a session token of the environment.
    """
    key, secret = rest.pop("access_key_id", None), rest.pop("secret_access_key", None)
    token = rest.pop("session_token", None)
    if truthy(rest.get("skip_signature", os.environ.get("AWS_SKIP_SIGNATURE"))):
        rest["skip_signature"] = "true"
        return None
    if (key is None) != (secret is None):
        missing = "aws_secret_access_key" if secret is None else "aws_access_key_id"
        raise InvalidInputError(f"option {missing} is missing", kind="bad-option", option=missing)
    if key is None and not profile:
        key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
        token = token or os.environ.get("AWS_SESSION_TOKEN") or os.environ.get("AWS_SECURITY_TOKEN")
    if not key or not secret:
        return aws.credential_provider(profile)
    static = {"access_key_id": key, "secret_access_key": secret, "token": token, "expires_at": None}
    return lambda: dict(static)
