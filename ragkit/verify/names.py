"""Names in a sentence, and whether a text has them in one form or another.

Knows capitals, abbreviations and the endings of demonyms and plurals in English; knows nothing of who is meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ragkit.text import fold_line
from ragkit.verify.times import without_times

CAPITAL_NOUNS = frozenset(("german",))
"""Languages that write every noun with a capital, where one tells nothing of names."""
_CODE = re.compile(r"`+[^`\n]+`+")
_NAMED = re.compile(r"(?<=[\w,;)]\s)[A-Z]\w+")
_WORD = re.compile(r"\w+")
_DOTTED = re.compile(r"\b(?:[a-z]\.){2,}")
_ENDINGS = ("an", "n", "ese", "ity", "ish", "ic")
_SHORTEST = 4
"""Letters of a stem that may stand for a name."""


def names_in(claim: str) -> list[str]:
    """Words with a capital inside a sentence, folded: what a claim calls by name.

    >>> names_in("The tool runs on Debian, and Ada maintains `Foo` in Berlin. It is old.")
    ['debian', 'ada', 'berlin']
    """
    plain = without_times(_CODE.sub(" ` ", claim))
    return list(dict.fromkeys(fold_line(name) for name in _NAMED.findall(plain)))


class Names:
    """The words of a text that a name can be found among."""

    def __init__(self, plain: str) -> None:
        """`plain` is folded."""
        self._words = frozenset(_WORD.findall(plain)) | {one.replace(".", "") for one in _DOTTED.findall(plain)}
        self._forms: frozenset[str] | None = None

    def __contains__(self, name: str) -> bool:
        """Whether the text has the name, or one of the same stem.

        >>> names = Names("the u.s. and korea in the 1990s; a texan and two mexicans")
        >>> [one in names for one in ("us", "korean", "mexico", "texan", "kenyan")]
        [True, True, True, True, False]
        """
        if name in self._words:
            return True
        if self._forms is None:
            self._forms = frozenset(form for word in self._words for form in _forms(word))
        return not self._forms.isdisjoint(_forms(name))


def _forms(word: str) -> Iterable[str]:
    """The word without the endings of a plural or of who is from there.

    >>> sorted(_forms("venezuelans")), sorted(_forms("china"))
    (['venezuel', 'venezuela', 'venezuelan', 'venezuelans'], ['chin', 'china'])
    """
    found = {word, word.removesuffix("s")}
    found |= {one.removesuffix(ending) for one in tuple(found) for ending in _ENDINGS}
    found |= {one.rstrip("aeiou") for one in tuple(found)}
    return {one for one in found if len(one) >= _SHORTEST}
