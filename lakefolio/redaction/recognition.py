"""How a secret is recognised: by its name, by its shape, or by its place in an address (pure: no I/O)."""

from __future__ import annotations

import itertools
import re
from typing import Final
from urllib.parse import unquote

__all__ = ["MASK", "WORDS", "is_secret_name", "scrub_address", "scrub_keys", "scrub_shapes", "words"]

MASK: Final = "***"
"""What stands for a secret."""


def words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
"""The words of a name in camel case, snake case or with dashes."""
_FILLERS: Final = words(
    "value header headers string str text txt b64 base env var raw plain confirm confirmation new old"
)
_SECRET_WORDS: Final = words(
    "password passwords passwd passphrase passcode pwd pw secret secrets token credential credentials creds "
    "authorization auth apikey accesskey secretkey privatekey bearer cookie cookies jwt sig signature"
)
_SECRET_ENDS: Final = ("password", "passwd", "passphrase", "secret", "token", "apikey", "credentials", "secretkey")
_KEYS: Final = words(
    "api access secret account private shared encryption signing master auth session sas customer service sse ssh "
    "client deploy license subscription storage wandb comet neptune openai anthropic mistral cohere gemini kaggle hf "
    "huggingface azure datadog stripe"
)
_PASSES: Final = words("db user smtp mysql ftp http proxy admin root ssh my email mail")
_SPECIAL_TOKENS: Final = words(
    "pad eos bos sos mask unk sep cls start end stop special image audio video begin next last first prev"
)


def is_secret_name(name: str) -> bool:
    """Say whether an option, parameter, key or variable of this name holds a secret.

    The last word decides: ``max_tokens``, ``token_count``, ``password_file`` and ``key_id`` hold none, nor do the
    special tokens of language models (``pad_token``).
    """
    words = [word.lower() for word in WORDS.findall(name)]
    while words and words[-1] in _FILLERS:
        words.pop()
    if not words:
        return False
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last == "key":
        return before in _KEYS
    if last == "pass":
        return not before or before in _PASSES
    if last in ("token", "signature", "sig") and (before in _SPECIAL_TOKENS or (last != "token" and not before)):
        return False
    return last in _SECRET_WORDS or last.endswith(_SECRET_ENDS)


_PEM: Final = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)
_TOKEN: Final = re.compile(
    r"""(?x) (?<![A-Za-z0-9_])(?:
      (?:AKIA|ASIA)[A-Z0-9]{12,124}
    | gh[pousr]_[A-Za-z0-9]{8,} | github_pat_[A-Za-z0-9_]{8,}
    | gl(?:pat|rt|dt|cbt|ptt|soat|ft)-[A-Za-z0-9_.-]{8,}
    | hf_[A-Za-z0-9]{8,} | api_org_[A-Za-z0-9]{16,}
    | sk-[A-Za-z0-9_-]{12,} | [rsp]k_(?:live|test)_[A-Za-z0-9]{8,} | whsec_[A-Za-z0-9+/=]{8,}
    | xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{8,} | xapp-[A-Za-z0-9-]{8,}
    | AIza[A-Za-z0-9_-]{20,} | ya29\.[A-Za-z0-9_.-]{8,} | GOCSPX-[A-Za-z0-9_-]{8,}
    | eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*
    | npm_[A-Za-z0-9]{16,} | pypi-[A-Za-z0-9_-]{16,} | dckr_pat_[A-Za-z0-9_-]{8,}
    | dop_v1_[a-f0-9]{16,} | dapi[a-f0-9]{24,} | shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{16,}
    | SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,} | hv[sbr]\.[A-Za-z0-9_-]{16,}
    | AGE-SECRET-KEY-1[A-Z0-9]{16,} | tskey-[A-Za-z0-9-]{8,} | pul-[a-f0-9]{32,} | lin_api_[A-Za-z0-9]{16,}
    )"""
)
_KEY_MATERIAL: Final = re.compile(r"(?<![A-Za-z0-9+/=_.-])[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/=_-])")
"""What the secret key of AWS looks like; text of that length changes between kinds of letters far less often."""
_KEY_CHANGES: Final = 14

_USER: Final = re.compile(
    r"(?i)(?P<scheme>\b[a-z][a-z0-9+.-]{1,20}):(?P<slashes>//?)(?:(?P<user>[^\s/?#@:\"'<>]{0,256}):(?!\d{1,5}(?:[/?#\s]|$))[^\s@\"'<>]{0,512}"
    r"(?:@[^\s/?#@\"'<>]{0,256}){0,4}|(?P<alone>[^\s/?#@\"'<>]{1,512}))@"
)
_NAMED_USERS: Final = frozenset({"az", "azure", "abfs", "abfss", "wasb", "wasbs", "adl", "ssh", "git", "git+ssh"})
"""Where the part before ``@`` alone is a container or the name of an account."""
_QUERY: Final = re.compile(r"(?P<mark>[?&;#]|&amp;)(?P<name>[\w.%-]{1,60})=(?P<value>[^&#;\s\"'<>]+)")
_ACCOUNT_KEY: Final = re.compile(r"(?i)\b(?P<name>(?:Account|SharedAccess)Key=)[A-Za-z0-9+/%]{16,}={0,2}")
_SIGN_ON: Final = re.compile(
    r"""(?x) (?<!\S)(?P<option>-u|--user|--proxy-user|--auth)(?P<mark>[ =]['"]?)(?P<user>[^\s:/'"]+)
    :(?!\d+(?:\s|$))[^\s'"]+"""
)
_SIGNING: Final = words(
    "sig signature awsaccesskeyid x-amz-signature x-amz-credential x-amz-security-token x-goog-signature "
    "x-goog-credential googleaccessid policy key-pair-id code_verifier hmac"
)
"""The parameters of an address that sign it, besides those with names of secrets."""
_SCHEMED: Final = re.compile(
    r"""(?x) \b (?P<kind> (?i:bearer)\s+ (?=[^\s"'\\,;]*[\d._~+/=-]) | Basic\s+ (?=[A-Za-z0-9+/]+[A-Z0-9=+/]) )
    (?P<value> [A-Za-z0-9._~+/=-]{8,} )"""
)


def scrub_shapes(text: str) -> str:
    """Return a text that a person wrote without what is a secret by its shape or its place in an address."""
    if len(text) < 8:
        return text
    if "PRIVATE KEY" in text:
        text = _PEM.sub(MASK, text)
    if ":/" in text and "@" in text:
        text = _USER.sub(_user, text)
    if "=" in text:
        text = _QUERY.sub(_parameter, text)
        text = _ACCOUNT_KEY.sub(rf"\g<name>{MASK}", text)
    if "://" in text or "curl" in text:
        text = _SIGN_ON.sub(rf"\g<option>\g<mark>\g<user>:{MASK}", text)
    text = _TOKEN.sub(MASK, text)
    return _SCHEMED.sub(rf"\g<kind>{MASK}", text)


def _user(found: re.Match[str]) -> str:
    if found["alone"] is not None and found["scheme"].lower() in _NAMED_USERS:
        return found[0]
    if found["alone"] is not None and "http" not in found["scheme"].lower() and found["scheme"].lower() not in _STORES:
        return found[0]
    return f"{found['scheme']}:{found['slashes']}{MASK}@"


_STORES: Final = frozenset({"s3", "s3a", "s3n", "gs", "gcs", "ftp"})


def _parameter(found: re.Match[str]) -> str:
    name = unquote(found["name"])
    if name.lower() not in _SIGNING and not is_secret_name(name):
        return found[0]
    return f"{found['mark']}{found['name']}={MASK}"


def scrub_keys(text: str) -> str:
    """Return a text without what looks like the secret key of AWS."""
    return _KEY_MATERIAL.sub(_key_material, text)


def _key_material(found: re.Match[str]) -> str:
    text = found[0]
    kinds = ["l" if one.islower() else "u" if one.isupper() else "d" for one in text]
    changes = sum(one != other for one, other in itertools.pairwise(kinds))
    return MASK if changes >= _KEY_CHANGES and len(set(kinds)) == 3 else text


_SIGNED_QUERY: Final = re.compile(r"(?i)[?&](?:x-amz-signature|x-goog-signature|signature|sig)=")
_SIGNATURE_PARTS: Final = re.compile(
    r"(?i)^(?:x-amz-.*|x-goog-.*|awsaccesskeyid|googleaccessid|expires|policy|key-pair-id|"
    r"s[vrtpe]|ss|srt|spr|sip|si|sig|signature|sk(?:oid|tid|t|e|s|v)|skoid|ske|sks)$"
)


def scrub_address(address: str) -> str:
    """Return an address without user, password and the parameters that sign it: what names the object and lasts."""
    plain, mark, rest = address.partition("?")
    plain = re.sub(r"://\*\*\*@", "://", scrub_shapes(plain)) if "://" in plain else plain
    if not mark:
        return plain
    query, sharp, fragment = rest.partition("#")
    signed = _SIGNED_QUERY.search(f"?{query}") is not None
    kept = []
    for part in query.split("&"):
        name = unquote(part.partition("=")[0])
        if not (name.lower() in _SIGNING or is_secret_name(name) or (signed and _SIGNATURE_PARTS.match(name))):
            kept.append(part)
    found = plain + ("?" + "&".join(kept) if any(kept) else "") + sharp + fragment
    return scrub_shapes(found)
