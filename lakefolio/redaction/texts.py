"""Secrets in texts that programs wrote: messages, tracebacks, code, headers, command lines (pure: no I/O)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from lakefolio.redaction.recognition import MASK, WORDS, is_secret_name, scrub_keys, scrub_shapes, words

__all__ = ["scrub", "scrub_code", "scrub_command"]

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
_NO_VALUES: Final = words("none null true false str bytes int float bool any object self optional [removed]")


_SIGN_IN: Final = re.compile(r"""(?x) (?<![\w"'])(?P<name>[A-Za-z_]\w{0,60})\((?P<given>[^()]{3,600})""")
"""A call and its arguments, up to the first inner one: traceback and code of ``login("user", "…")``."""
_GIVEN: Final = re.compile(
    r"""(?x) (?P<before> (?:(?P<key>[A-Za-z_]\w{0,60})\s*=\s*)? [rRbBfFuU]{0,2}) (?P<q>["'])
    (?P<value> (?: (?!(?P=q))[^\n\\] | \\. )* ) (?P=q)"""
)
_LOGINS: Final = words("login signin authenticate auth authorize authorise")
_CONNECTIONS: Final = words("connect connection ftp imap pop")
_NO_SETTERS: Final = words(
    "get read find load fetch has is count check verify list hash make create new generate ask prompt delete remove "
    "tokenize encode decode print test assert require describe def class"
)


def _sign_in(found: re.Match[str]) -> str:
    """Mask what a call that signs in, or takes a secret by its name, was given by place."""
    words = [word.lower() for word in WORDS.findall(found["name"])]
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
    text = scrub_keys(scrub_shapes(text))
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
