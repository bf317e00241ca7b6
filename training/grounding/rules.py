"""Rewrite a sentence so that it says the same, or so that it no longer does, by rule.

Knows the words of one sentence and of the text around it; knows nothing of files, models or evidence. A rule gives
None where it does not apply. `rewrite` keeps a sentence true of its text; `corrupt` makes it say something that the
text does not: another number, name, version or option, the opposite, more than is said, or less restricted.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

Rule: TypeAlias = Callable[[str, "Surroundings", random.Random], str | None]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a rule may borrow: names, numbers, options, phrases and sentences near the sentence, or farther off.

    `phrases` and `sentences` come from outside the evidence, so that what is taken from them is not borne out.
    """

    names: Sequence[str] = ()
    numbers: Sequence[str] = ()
    options: Sequence[str] = ()
    nouns: Sequence[str] = ()
    phrases: Sequence[str] = ()
    sentences: Sequence[str] = ()


_NAME = re.compile(
    r"(?<!^)(?<![.!?:] )(?<![\w`\"'/.-])[A-Z][a-zA-Z'’]{2,}(?:(?: (?:of|de|the|von))? [A-Z][a-zA-Z'’]+)*(?![\w`/])"
)
_NUMBER = re.compile(r"(?<![\w.,/-])\d{1,3}(?:,\d{3})+(?![\w])|(?<![\w.,/-])\d+(?:\.\d+)*(?![\w])(?!\.\d)")
_OPTION = re.compile(
    r"(?<![\w-])--?[a-zA-Z][\w-]+|(?<!\w)[A-Za-z]\w*_\w+|(?<!\w)[a-z]\w*(?:\.[a-z_]\w+)+(?:\(\))?|(?<!\w)[a-z]\w+\(\)"
)
_BEFORE_NOUN = ("the", "a", "an", "of", "its", "his", "her", "their", "this", "each", "any")
_NOUN = re.compile(
    rf"(?:{'|'.join(f'(?<= {word} )' for word in _BEFORE_NOUN)})"
    r"[a-z]{4,}(?![\w-])(?=[ ,.])"
)
_PHRASE = re.compile(
    r"(?<= )(?:in|on|by|for|from|during|after|before|because of|with|through|despite|near|at)"
    r" (?:the |a |an |its |his |her )?(?:[\w’'-]+ ){0,4}[\w’'-]{3,}(?=[,.;])"
)
_SPELT = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def rewrite(sentence: str, around: Surroundings, rng: random.Random) -> str:
    """The sentence in other words, with less, or in another order, but never with more; at times as it is."""
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        sentence = _first(_REWRITES, sentence, around, rng) or sentence
    return _spelt_again(sentence, rng)


def corrupt(sentence: str, around: Surroundings, rng: random.Random) -> str | None:
    """The sentence with one thing changed that its text does not bear out; None where no rule applies."""
    return _first(_CORRUPTIONS, sentence, around, rng)


def surroundings(near: str, outside: Sequence[str]) -> Surroundings:
    """What `near` and the sentences `outside` of the evidence have to borrow."""
    text = " ".join((near, *outside))
    return Surroundings(
        names=_all(_NAME, text),
        numbers=_all(_NUMBER, text),
        options=_all(_OPTION, text),
        nouns=_all(_NOUN, text),
        phrases=_all(_PHRASE, " ".join(outside)),
        sentences=outside,
    )


def _all(pattern: re.Pattern[str], text: str) -> list[str]:
    return list(dict.fromkeys(match[0] for match in pattern.finditer(text)))


def _first(rules: Mapping[Rule, int], sentence: str, around: Surroundings, rng: random.Random) -> str | None:
    """What the first rule that applies makes of the sentence, rules in a random order by weight."""
    order = sorted(rules, key=lambda rule: rng.random() ** (1.0 / rules[rule]), reverse=True)
    for rule in order:
        changed = rule(sentence, around, rng)
        if changed and _bare(changed) != _bare(sentence):
            return changed
    return None


def _bare(text: str) -> str:
    return " ".join(re.findall(r"[\w-]+", text.lower()))


# ---------------------------------------------------------------- the same thing


def _synonyms(sentence: str, around: Surroundings, rng: random.Random) -> str | None:
    changed = None
    for _ in range(rng.choice((1, 1, 2, 3))):
        changed = _replaced(changed or sentence, _SYNONYM, rng) or changed
    return changed


def _without_parenthesis(sentence: str, around: Surroundings, rng: random.Random) -> str | None:
    shorter = re.sub(r" ?\([^()]*\)", "", sentence, count=1)
    return shorter if shorter != sentence and len(shorter) > 25 else None


def _without_clause(sentence: str, around: Surroundings, rng: random.Random) -> str | None:
    """Without a relative clause or the half behind a semicolon; conditions stay."""
    match = re.search(r", (?:which|who|where|whose|including|such as) [^,;.]+(?=[,.])|; [^;]+(?=\.$)", sentence)
    if not match or match.start() < 8:
        return None
    rest = sentence[match.end() :].removeprefix(",") if match[0].startswith(",") else sentence[match.end() :]
    return sentence[: match.start()] + rest


def _moved_front(sentence: str, around: Surroundings, rng: random.Random) -> str | None:
    """ "In 1998, it began." to "It began in 1998." """
    match = re.match(r"((?:In|On|At|By|During|After|Before|Since|From) [^,]{3,40}), ([^;:]+)\.$", sentence)
    if not match or "," in match[2]:
        return None
    return f"{_capital(match[2])} {match[1][0].lower()}{match[1][1:]}."


def _dropped_front(sentence: str, around: Surroundings, rng: random.Random) -> str | None:
    match = re.match(
        r"(?:In|On|At|By|During|After|Since|However|Moreover|Furthermore|Also|Additionally|Thus|Therefore)"
        r"(?: [^,]{2,40})?, ",
        sentence,
    )
    return _capital(sentence[match.end() :]) if match and len(sentence) - match.end() > 25 else None


def _apposition(sentence: str, around: Surroundings, rng: random.Random) -> str | None:
    """ "Paris, the capital of France, has…" to "Paris is the capital of France." """
    match = re.match(r"((?:The )?[A-Z][\w’']*(?: [\w’']+){0,4}), ((?:the|a|an) [^,.;]{8,80}),", sentence)
    return f"{match[1]} is {match[2]}." if match else None


def _first_half(sentence: str, around: Surroundings, rng: random.Random) -> str | None:
    """What stands before ", and" or ", but" where a new subject follows."""
    match = re.match(r"(.{30,}?),? (?:and|but|while) (?=(?:the|a|it|he|she|they|this|its|his|in|there)\b)", sentence)
    return match[1] + "." if match and not _CONDITION.search(match[1]) else None


def _second_half(sentence: str, around: Surroundings, rng: random.Random) -> str | None:
    match = re.search(r", (?:and|but) ((?:the|it|he|she|they|there|this) [^;]{25,})$", sentence)
    return _capital(match[1]) if match else None


def _attributed(sentence: str, rng: random.Random) -> str:
    text = sentence[0].lower() + sentence[1:] if re.match(r"(?:The|A|An|It|This|In|There)\b", sentence) else sentence
    return rng.choice(("According to the text, {}", "The text says that {}", "It is stated that {}")).format(text)


def _spelt_again(sentence: str, rng: random.Random) -> str:
    """Now and then as somebody's words, without the full stop, or with a number as a word."""
    if rng.random() < 0.05:
        sentence = _attributed(sentence, rng)
    if rng.random() < 0.1:
        sentence = sentence.rstrip(".")
    if rng.random() < 0.1:
        sentence = re.sub(
            r"(?<![\w.,-])([1-9]|10)(?![\w.,%-])", lambda match: _SPELT[int(match[1]) - 1], sentence, count=1
        )
    return sentence


# ---------------------------------------------------------------- another thing


def _number(sentence: str, around: Surroundings, rng: random.Random) -> str | None:
    """Another number, version, month or day; near the old one, or one of the text's own."""
    found = list(_NUMBER.finditer(sentence))
    words = [
        match
        for kind in (_SPELT, _MONTHS, _DAYS)
        for match in re.finditer(rf"\b(?:{'|'.join(kind)})\b", sentence)
        if match[0] not in ("one", "May", "March")
    ]
    if not found and not words:
        return None
    match = rng.choice(found or words) if rng.random() < 0.8 or not words else rng.choice(words)
    if not match[0][0].isdigit():
        kind = next(kind for kind in (_SPELT, _MONTHS, _DAYS) if match[0] in kind)
        return _put(sentence, match, rng.choice([word for word in kind if word != match[0]]))
    like = [one for one in around.numbers if one != match[0] and _shape(one) == _shape(match[0])]
    other = rng.choice(like) if like and rng.random() < 0.5 else _moved(match[0], rng)
    return _put(sentence, match, other)


def _moved(number: str, rng: random.Random) -> str:
    """Another number with the same shape: one digit, or the last part of a version, is changed."""
    digits = [at for at, character in enumerate(number) if character.isdigit()]
    at = rng.choice(digits[-2:])
    least = 1 if at == 0 else 0
    new = rng.choice([str(digit) for digit in range(least, 10) if str(digit) != number[at]])
    return number[:at] + new + number[at + 1 :]


def _shape(number: str) -> str:
    return re.sub(r"\d", "0", number)


def _name(sentence: str, around: Surroundings, rng: random.Random) -> str | None:
    """Another name of the text in the place of one."""
    found = list(_NAME.finditer(sentence))
    if not found:
        return None
    match = rng.choice(found)
    others = [name for name in around.names if name not in sentence and match[0] not in name]
    words = len(match[0].split())
    like = [name for name in others if len(name.split()) == words] or others
    return _put(sentence, match, rng.choice(like)) if like else None


def _swapped(sentence: str, around: Surroundings, rng: random.Random) -> str | None:
    """Two names, numbers or options of the sentence in each other's place, unless they are only listed."""
    kinds = [pattern for pattern in (_NAME, _NUMBER, _OPTION) if len({m[0] for m in pattern.finditer(sentence)}) > 1]
    if not kinds:
        return None
    found = list(rng.choice(kinds).finditer(sentence))
    one, two = sorted(rng.sample(found, 2), key=lambda match: match.start())
    between = sentence[one.end() : two.start()]
    if one[0] == two[0] or len(between.split()) < 2 or re.fullmatch(r"[\s,]*(?:and|or|,|&)?[\s,]*", between):
        return None
    return sentence[: one.start()] + two[0] + between + one[0] + sentence[two.end() :]


def _option(sentence: str, around: Surroundings, rng: random.Random) -> str | None:
    """Another option, function or identifier of the text, or one that is spelt a little otherwise."""
    found = list(_OPTION.finditer(sentence))
    if not found:
        return None
    match = rng.choice(found)
    like = [one for one in around.options if one not in sentence and one[:2].count("-") == match[0][:2].count("-")]
    if like and rng.random() < 0.8:
        return _put(sentence, match, rng.choice(like))
    prefix = rng.choice(("no-", "all-", "force-") if match[0].startswith("--") else ("set_", "raw_", "old_"))
    start = 2 if match[0].startswith("--") else 0
    return _put(sentence, match, match[0][:start] + prefix + match[0][start:].lstrip("-"))


def _noun(sentence: str, around: Surroundings, rng: random.Random) -> str | None:
    """Another noun of the text in the place of one."""
    found = list(_NOUN.finditer(sentence))
    if not found:
        return None
    match = rng.choice(found)
    like = [noun for noun in around.nouns if noun[:4] != match[0][:4] and noun[-1] == match[0][-1]]
    others = [noun for noun in like if noun not in sentence]
    return _put(sentence, match, rng.choice(others)) if others else None


_AUXILIARY = re.compile(
    r"\b(is|are|was|were|can|could|will|would|must|should|may|might|has been|have been|had)\b(?! not\b|n't)"
)
_DENIED = re.compile(r"\b(is|are|was|were|can|could|will|would|must|should|do|does|did|has|have|had) ?(?:not|n't)\b")


def _negated(sentence: str, around: Surroundings, rng: random.Random) -> str | None:
    """A "not" put in or taken out."""
    if denied := _DENIED.search(sentence):
        word = "" if denied[1] in ("do", "does", "did") else denied[1]
        return re.sub(r"  +", " ", _put(sentence, denied, word))
    found = list(_AUXILIARY.finditer(sentence))
    if not found:
        return None
    match = found[0]
    return _put(sentence, match, f"{match[0]} not" if match[0] != "can" else "cannot")


def _opposite(sentence: str, around: Surroundings, rng: random.Random) -> str | None:
    return _replaced(sentence, _OPPOSITE, rng)


_CONDITION = re.compile(r"\b(?:if|unless|only|when|until|except|provided)\b", re.IGNORECASE)


def _unconditional(sentence: str, around: Surroundings, rng: random.Random) -> str | None:
    """Without its condition or restriction."""
    patterns = (
        r",? (?:if|unless|only if|only when|except|provided that|until) [^,;.]+(?=[,.;])",
        r"^(?:If|Unless|When|Until) [^,]+, (?:then )?",
        r"\b(?:usually|sometimes|often|partly|nearly|almost|possibly|probably|allegedly|reportedly|may|might) ",
    )
    for pattern in rng.sample(patterns, len(patterns)):
        match = re.search(pattern, sentence)
        if match and len(sentence) - len(match[0]) > 25:
            rest = sentence[: match.start()] + (" " if match[0][0] == " " and match[0][-1] == " " else "")
            return _capital((rest + sentence[match.end() :]).strip())
    return None


def _more_certain(sentence: str, around: Surroundings, rng: random.Random) -> str | None:
    """ "may" to "always", "some" to "all"."""
    pairs = (
        (r"\b(?:may|might|could) ", "will always "),
        (r"\b(?:Some|Many|Most|Several|A few)\b", "All"),
        (r"\b(?:some|many|most|several|a few)\b", "all"),
        (r"\b(?:usually|often|sometimes|generally|typically|normally)\b", "always"),
        (r"\b(?:about|nearly|almost|approximately|around) (?=\d)", "more than "),
        (r"\b(?:one of the)\b", "the only one of the"),
    )
    for pattern, other in rng.sample(pairs, len(pairs)):
        if match := re.search(pattern, sentence):
            return _put(sentence, match, other)
    return None


def _added_phrase(sentence: str, around: Surroundings, rng: random.Random) -> str | None:
    """A circumstance of another sentence at the end."""
    others = [phrase for phrase in around.phrases if phrase.lower() not in sentence.lower()]
    return f"{sentence.rstrip('.')} {rng.choice(others)}." if others else None


def _added_clause(sentence: str, around: Surroundings, rng: random.Random) -> str | None:
    """Half of it is borne out: ", and" with a sentence that the evidence has not."""
    others = [one for one in around.sentences if 25 < len(one) < 110]
    if not others:
        return None
    other = rng.choice(others)
    start = other[0].lower() if re.match(r"(?:The|A|An|It|This|In|There|He|She|They|If|When)\b", other) else other[0]
    return f"{sentence.rstrip('.')}, and {start}{other[1:]}"


def _put(sentence: str, match: re.Match[str], other: str) -> str:
    return sentence[: match.start()] + other + sentence[match.end() :]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _table(file: str, *, both: bool) -> dict[str, list[str]]:
    """The words of a file of `one|other` pairs, a blank written as _; `both` ways if they hold both ways."""
    table: dict[str, list[str]] = {}
    for pair in Path(__file__).with_name(file).read_text(encoding="utf-8").split():
        one, _, two = pair.replace("_", " ").partition("|")
        table.setdefault(one, []).append(two)
        if both and " " not in two:
            table.setdefault(two, []).append(one)
    return table


_OPPOSITE = _table("opposites.txt", both=True)
_SYNONYM = _table("synonyms.txt", both=False)


def _replaced(sentence: str, table: Mapping[str, Sequence[str]], rng: random.Random) -> str | None:
    """One word of the table by one of those that it has for it, its capital kept."""
    found = [match for match in re.finditer(r"(?<![\w.-])[A-Za-z]+(?![\w-])", sentence) if match[0].lower() in table]
    if not found:
        return None
    match = rng.choice(found)
    other = rng.choice(table[match[0].lower()])
    return _put(sentence, match, _capital(other) if match[0][0].isupper() else other)


_REWRITES: Mapping[Rule, int] = {
    _synonyms: 4,
    _without_parenthesis: 3,
    _without_clause: 3,
    _moved_front: 3,
    _dropped_front: 2,
    _apposition: 3,
    _first_half: 2,
    _second_half: 2,
}
_CORRUPTIONS: Mapping[Rule, int] = {
    _number: 5,
    _name: 6,
    _swapped: 3,
    _option: 3,
    _noun: 4,
    _negated: 3,
    _opposite: 5,
    _unconditional: 2,
    _more_certain: 2,
    _added_phrase: 4,
    _added_clause: 2,
}
