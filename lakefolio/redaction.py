"""The one place that takes secrets out of texts, command lines and recorded values (pure: no I/O).

A lake keeps what is written for ever, for everyone who may read it, and messages end up in logs. So everything that is
recorded without having been given as content (command lines, tracebacks, parameters, addresses) and every message
passes through here. A secret is recognised by its name (``password=``, ``--api-key``, ``"token":``), by its place
(the user part and the signature of an address, an authorization header, an argument of ``login(…)``) or by its shape
(``ghp_…``, ``AKIA…``, PEM keys, JSON web tokens). What none of these tell stays: a password without name, place or
shape is a word.

All functions are idempotent, and return a text without secrets unchanged. The module is longer than others because its
patterns stand beside the functions that apply them, and each function builds on those above it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

__all__ = [
    "MASK",
    "is_secret_name",
    "scrub",
    "scrub_address",
    "scrub_code",
    "scrub_command",
    "scrub_shapes",
    "scrub_value",
]

MASK: Final = "***"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# -- names -------------------------------------------------------------------------------------------------------

_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_FILLERS: Final = _words(
    "value header headers string str text txt b64 base env var raw plain confirm confirmation new old"
)
_SECRET_WORDS: Final = _words(
    "password passwords passwd passphrase passcode pwd pw secret secrets token credential credentials creds "
    "authorization auth apikey accesskey secretkey privatekey bearer cookie cookies jwt sig signature"
)
_SECRET_ENDS: Final = ("password", "passwd", "passphrase", "secret", "token", "apikey", "credentials", "secretkey")
_KEYS: Final = _words(
    "api access secret account private shared encryption signing master auth session sas customer service sse ssh "
    "client deploy license subscription storage"
)
_PASSES: Final = _words("db user smtp mysql ftp http proxy admin root ssh my email mail")
_SPECIAL_TOKENS: Final = _words(
    "pad eos bos sos mask unk sep cls start end stop special image audio video begin next last first prev"
)


def is_secret_name(name: str) -> bool:
    """Say whether an option, parameter, key or variable of this name holds a secret.

    The last word decides: ``max_tokens``, ``token_count``, ``password_file`` and ``key_id`` hold none, nor do the
    special tokens of language models (``pad_token``).
    """
    words = [word.lower() for word in _WORDS.findall(name)]
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


# -- shapes ------------------------------------------------------------------------------------------------------

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
_SIGNING: Final = _words(
    "sig signature awsaccesskeyid x-amz-signature x-amz-credential x-amz-security-token x-goog-signature "
    "x-goog-credential googleaccessid policy key-pair-id code_verifier hmac"
)
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


def _key_material(found: re.Match[str]) -> str:
    text = found[0]
    kinds = ["l" if one.islower() else "u" if one.isupper() else "d" for one in text]
    changes = sum(one != other for one, other in itertools.pairwise(kinds))
    return MASK if changes >= _KEY_CHANGES and len(set(kinds)) == 3 else text


# -- texts that programs wrote -----------------------------------------------------------------------------------

_HEADER: Final = re.compile(
    r"""(?ix) (?P<name> (?:proxy-)?authorization | (?:set-)?cookie ) (?P<mark> \\?["']? \s* [:=,] \s* )
    (?: (?P<quote>\\?["']) (?P<quoted>.*?) (?P=quote) | (?P<plain>[^"'\r\n\\,}\])]+) )"""
)
_NAMED: Final = re.compile(
    r"""(?x) (?<![\w.%/-]) (?P<open>\\?["'])? (?P<name>-{0,2}[A-Za-z_][\w.-]{0,80}) (?(open)\\?["'])
    (?:\s?\])? (?: \s?:\s?[A-Za-z_][\w.\[\]]{0,60}(?:\s?\|\s?[A-Za-z_][\w.\[\]]{0,60}){0,4}(?=\s?=) )?
    (?P<mark> \s{0,4}=(?![=~])\s{0,4} | \s{0,4}:(?!:|//)\s{0,4} )"""
)
"""A name and the sign that gives it a value, in code, JSON, headers and connection strings."""
_VALUE: Final = re.compile(
    r"""(?xs) (?: [rRbBfFuU]{0,2} (?:"{3}.*?(?:"{3}|\Z) | '{3}.*?(?:'{3}|\Z)
      | (?P<quote>\\?["'])(?:(?!(?P=quote))[^\r\n])*(?:(?P=quote)|(?=[\r\n])|\Z))
      | [(\[{][^)\]}\r\n]*[)\]}]?
      | [^\s"'`,;&(){}\[\]<>][^\s"'`,;&(){}\[\]]* )"""
)
_OPTION: Final = re.compile(r"(?<!\S)(?P<name>--[A-Za-z][\w-]*)\s+(?!-)[^\s]+")
_LOGIN: Final = re.compile(r"(?P<call>\w*Auth\()[^)\r\n]+")
_NO_VALUES: Final = _words("none null true false str bytes int float bool any object self optional [removed]")


_SIGN_IN: Final = re.compile(r"""(?x) (?<![\w"'])(?P<name>[A-Za-z_]\w{0,60})\((?P<given>[^()]{3,600})""")
"""A call and its arguments, up to the first inner one: traceback and code of ``login("user", "…")``."""
_GIVEN: Final = re.compile(
    r"""(?x) (?P<before> (?:(?P<key>[A-Za-z_]\w{0,60})\s*=\s*)? [rRbBfFuU]{0,2}) (?P<q>["'])
    (?P<value> (?: (?!(?P=q))[^\n\\] | \\. )* ) (?P=q)"""
)
_LOGINS: Final = _words("login signin authenticate auth authorize authorise")
_CONNECTIONS: Final = _words("connect connection ftp imap pop")
_NO_SETTERS: Final = _words(
    "get read find load fetch has is count check verify list hash make create new generate ask prompt delete remove "
    "tokenize encode decode print test assert require describe def class"
)


def _sign_in(found: re.Match[str]) -> str:
    """Mask what a call that signs in, or takes a secret by its name, was given by place."""
    words = [word.lower() for word in _WORDS.findall(found["name"])]
    joined = "".join(words[-2:])
    is_login = bool({*words[-1:], joined} & _LOGINS)
    is_setter = is_secret_name(found["name"]) and words[0] not in _NO_SETTERS
    is_connection = bool(words) and words[-1] in _CONNECTIONS
    if not (is_login or is_setter or is_connection):
        return found[0]
    places = list(_GIVEN.finditer(found["given"]))
    before = {one.start(): _GIVEN.sub("''", found["given"][: one.start()]).split(",") for one in places}
    plain = [one.start() for one in places if one["key"] is None and not before[one.start()][-1].strip()]
    least = _LEAST_OF_CONNECTIONS if is_connection else _LEAST
    secret = {one.start() for one in places if one.start() in plain and _is_like_a_key(one["value"], least)}
    secret |= {one.start() for one in places if one["key"] == "key" and is_login}
    if is_connection:  # host, user, password, as drivers of databases take them
        secret |= {at for at in plain if len(before[at]) == 3 and not before[at][1].strip().isdigit()}
    elif is_setter or (plain and len(before[plain[-1]]) > 1):
        secret |= {*plain[-1:]}
    given = _GIVEN.sub(lambda one: _masked(one) if one.start() in secret else one[0], found["given"])
    return found[0][: found.start("given") - found.start()] + given


def _masked(found: re.Match[str]) -> str:
    return f"{found['before']}{found['q']}{MASK}{found['q']}" if found["value"] else found[0]


_LEAST, _LEAST_OF_CONNECTIONS = 12, 20


def _is_like_a_key(value: str, least: int) -> bool:
    kinds = (any(map(str.isalpha, value)), any(map(str.isdigit, value)))
    return len(value) >= least and all(kinds) and re.fullmatch(r"[A-Za-z0-9_+=~-]+", value) is not None


def scrub(text: str) -> str:
    """Return a text that a program wrote (a message, a traceback, a word of a command line) without secrets."""
    if len(text) < 4:
        return text
    text = _KEY_MATERIAL.sub(_key_material, scrub_shapes(text))
    if "uth" in text or "UTH" in text or "ookie" in text or "OOKIE" in text:
        text = _HEADER.sub(_header, text)
    if "=" in text or ":" in text:
        text = _without_values(text)
    if "(" in text and ('"' in text or "'" in text):
        text = _SIGN_IN.sub(_sign_in, text)
    if "--" in text:
        text = _OPTION.sub(_option, text)
    return _LOGIN.sub(rf"\g<call>{MASK}", text) if "Auth(" in text else text


def _option(found: re.Match[str]) -> str:
    return f"{found['name']} {MASK}" if is_secret_name(found["name"]) else found[0]


def _header(found: re.Match[str]) -> str:
    value = found["quoted"] if found["plain"] is None else found["plain"]
    if value.strip().lower() in _NO_VALUES or not value.strip():
        return found[0]
    quote = found["quote"] or ""
    return f"{found['name']}{found['mark']}{quote}{MASK}{quote}"


def _without_values(text: str) -> str:
    """Return a text without the values of all names of secrets."""
    parts: list[str] = []
    done = at = 0
    while (named := _NAMED.search(text, at)) is not None:
        start = named.end()
        value = _VALUE.match(text, start) if is_secret_name(named["name"]) else None
        if value is None or not _is_value(named, value):
            at = named.end("name")  # what follows may be a name itself: RuntimeError: DB_PASSWORD=x
            continue
        quote = value["quote"] or ""
        parts += [text[done:start], quote, MASK, quote]
        done = at = value.end()
    return "".join([*parts, text[done:]]) if parts else text


def _is_value(named: re.Match[str], value: re.Match[str]) -> bool:
    bare = value[0].strip("\"'\\()[]{} ")
    if not bare or bare.lower() in _NO_VALUES or bare.startswith(MASK):
        return False
    prose = named["mark"].strip() == ":" and not named["open"] and not value["quote"]
    return not prose or named["name"].lower() != "token" or (len(bare) >= 8 and any(one.isdigit() for one in bare))


# -- addresses ---------------------------------------------------------------------------------------------------

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


# -- command lines -----------------------------------------------------------------------------------------------

_USER_OPTIONS: Final = frozenset({"-u", "-U", "--user", "--userpwd", "--proxy-user", "--username", "--login"})
_LOOKS_LIKE_PASSWORD: Final = re.compile(r"(?=.*[A-Za-z])[^\s/.:,=-][^\s/.:,=]{2,}")


def scrub_command(words: Sequence[str]) -> str:
    """Return a command line without secrets, its words with a space between them."""
    shown: list[str] = []
    option = ""  # the one whose value comes next
    for word in words:
        value, before = word, option
        option = ""
        name, mark, given = word.partition("=")
        if before and not word.startswith("--"):
            shown.append(_value_of(before, value))
        elif word.startswith("-") and mark and name in _USER_OPTIONS:
            shown.append(f"{name}={_user_and_password(given)}")
        elif mark and re.fullmatch(r"[\w.+~-]+", name) and is_secret_name(name) and given:
            shown.append(f"{name}={MASK}")
        elif re.fullmatch(r"-p[^\s-]\S*", word) and not word[2:].isdigit():
            shown.append(f"-p{MASK}")
        elif re.fullmatch(r"-[uU][^\s:-][^\s:]*:\S+", word):
            shown.append(f"{word[:2]}{_user_and_password(word[2:])}")
        else:
            if word in _USER_OPTIONS or word == "-p" or (re.fullmatch(r"--?[\w.-]+", word) and is_secret_name(word)):
                option = word
            shown.append(scrub(word))
    return " ".join(shown)


def _value_of(option: str, value: str) -> str:
    if option in _USER_OPTIONS:
        return _user_and_password(value)
    if option == "-p":
        return MASK if _LOOKS_LIKE_PASSWORD.fullmatch(value) else scrub(value)
    return MASK


def _user_and_password(value: str) -> str:
    user, mark, password = value.partition(":")
    return f"{user}:{MASK}" if mark and password and not value.startswith(("/", ".")) else scrub(value)


# -- code ---------------------------------------------------------------------------------------------------------

_SHELL_LINE: Final = re.compile(r"(?m)^(?P<mark>[^\S\n]*(?:[A-Za-z_]\w*[^\S\n]*=[^\S\n]*)?!+)(?P<command>[^\n]+)$")
_SHELL_CELL: Final = re.compile(
    r"(?m)^(?P<mark>%%(?:bash|sh|script|!)\b[^\n]*\n)(?P<command>(?:(?!# %% \[)[^\n]*\n?)*)"
)
_SET: Final = re.compile(r"(?m)^(?P<mark>[^\S\n]*%(?:set_)?env[^\S\n]+(?P<name>\w+)[^\S\n]+)(?P<value>\S[^\n]*)$")
_CALL: Final = re.compile(
    r"""(?x) (?P<mark> \b\w*(?:env|setdefault|setattr|get|set|put)\(
      [^()"'\n]{0,80} (?P<q>["'])(?P<name>\w{1,80})(?P=q) \s*,\s* [bf]? )
    (?P<value> (?P<v>["'])(?:(?!(?P=v))[^\n])*(?P=v) )"""
)
_BRACKETS: Final = re.compile(
    r"""(?mx) ^(?P<mark>[^\S\n]*(?P<name>[\w.]{1,80})[^\S\n]*=[^\S\n]*(?:\\|[(\[{])[^\S\n]*\n)
    (?P<value>(?:[^\S\n]*[^\n]*["'][^\n]*(?:\n|\Z))+)"""
)
_TEXT: Final = re.compile(r"""(?P<q>["'])(?:(?!(?P=q))[^\n])*(?P=q)(?P<key>[^\S\n]*:)?""")


def scrub_code(text: str) -> str:
    """Return code, or the cells of a notebook, without secrets: also those of shell lines, ``%env`` and ``setenv``."""
    text = _SHELL_LINE.sub(_shell, text)
    text = _SHELL_CELL.sub(_shell, text)
    text = _SET.sub(_set, text)
    text = _CALL.sub(_set, text)
    text = _BRACKETS.sub(_bracketed, text)
    return scrub(text)


def _shell(found: re.Match[str]) -> str:
    lines = [scrub_command(line.split(" ")) for line in found["command"].split("\n")]
    return found["mark"] + "\n".join(lines)


def _set(found: re.Match[str]) -> str:
    if not is_secret_name(found["name"]):
        return found[0]
    quote = found["value"][0] if found["value"][0] in "\"'" else ""
    return f"{found['mark']}{quote}{MASK}{quote}"


def _bracketed(found: re.Match[str]) -> str:
    if not is_secret_name(found["name"]):
        return found[0]
    return found["mark"] + _TEXT.sub(lambda one: one[0] if one["key"] else one["q"] + MASK + one["q"], found["value"])


# -- values ------------------------------------------------------------------------------------------------------


_LEAST_PIN: Final = 1000


def scrub_value(value: object, name: str = "", *, shapes_only: bool = False) -> Any:
    """Return a value of plain containers and texts without secrets; what holds none comes back as it is.

    Args:
        value: A text, number, list, tuple or mapping, nested; anything else comes back as it is.
        name: What it is called: under the name of a secret every text in it is one.
        shapes_only: Whether names tell nothing, as in what people wrote themselves (:func:`scrub_shapes`).
    """
    if shapes_only:
        return _scrubbed(value, scrub_shapes, None)
    return _scrubbed(value, scrub, _secrecy(name))


def _secrecy(name: object) -> str:
    """Return what of a value under a name is secret: ``texts``, ``numbers`` too (of passwords), or nothing."""
    if not isinstance(name, str) or not is_secret_name(name):
        return ""
    return "numbers" if re.search(r"(?i)pass|pwd|secret$|^auth$|cred", name) else "texts"


_DEPTH_LIMIT: Final = 250


def _scrubbed(value: Any, clean: Callable[[str], str], secret: str | None, depth: int = 0) -> Any:
    """Scrub texts by ``clean``, all that is ``secret`` whole; None says that keys of mappings tell nothing."""
    if depth > _DEPTH_LIMIT:
        return value  # or without an end: no text that is recorded nests so deep
    if isinstance(value, str):
        if secret:
            return MASK if value and not _is_special(value) else value
        text = clean(str(value))
        return value if text == value else text
    if isinstance(value, bytes | bytearray):
        return MASK if secret and value else value
    if type(value) is int:
        return MASK if secret == "numbers" and abs(value) >= _LEAST_PIN else value
    if isinstance(value, Mapping):
        found = {
            key: _scrubbed(one, clean, _secrecy(key) if secret == "" else secret, depth + 1)
            for key, one in value.items()
        }
        return value if all(found[key] is value[key] for key in found) else found
    if type(value) in (list, tuple):
        members = [_scrubbed(one, clean, secret, depth + 1) for one in value]
        return value if all(one is other for one, other in zip(members, value, strict=True)) else type(value)(members)
    return value


def _is_special(value: str) -> bool:
    """Say whether it is a special token of a language model: ``<pad>``, ``[CLS]``, ``</s>``."""
    return bool(re.fullmatch(r"<[^<>]{1,40}>|\[[A-Z_0-9]{1,40}\]", value))
