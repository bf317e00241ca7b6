"""English as people ask it: verbs, pronouns, the same question in other words, as keywords, with a typing mistake.

Pure. Knows words and the forms of questions; knows nothing of documents, passages or files. What cannot be said well
is not said: a function that finds no good wording returns "".
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

QuestionForm: TypeAlias = Literal[
    "how", "what-is", "happens", "to-do", "why", "default", "does", "means", "returns", "raises", "takes", "since",
    "before", "which", "free",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """A question taken apart: `text` is how it is asked first, `parts` what other wordings are made of."""

    form: QuestionForm
    text: str
    parts: tuple[str, ...] = ()


# ---------------------------------------------------------------- words


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Verbs that instructions begin with. Those that are nouns as often count only in front of a determiner.
_VERBS = _listed(
    """accept access add adjust allow append apply approve archive arrange assign attach authenticate authorize
    avoid back bind block bootstrap browse build bypass calculate call cancel capture change choose clean clear
    clone collect combine communicate compare compile compute configure confirm connect contribute control
    convert copy correct count create customize debug declare define delegate delete deploy describe detect
    determine diagnose disable discard discover display download drain drop edit embed emit enable encode
    encrypt enforce enroll ensure enter estimate evaluate examine exclude execute expand explore export expose
    extend extract fetch filter find fix force format generate get grant group guarantee handle hide host
    identify ignore implement import improve include increase index inherit initialize insert inspect install
    integrate interact interpret invalidate invoke isolate iterate join keep label launch leave limit link list
    listen load locate log maintain make manage mark match measure merge migrate minimize modify monitor mount
    move name navigate notify observe omit open optimize order organize output override parse partition pass
    patch pause perform permit pin place plan plot prepare preserve prevent preview print process produce
    profile promote protect provide provision prune publish pull push put query quote raise read rebuild
    reconfigure record recover recreate redirect reduce refresh register reject reload remove rename render
    repair replace replicate report reproduce request require reserve reset resize resolve restart restore
    restrict resume retrieve return reuse reverse revert review revoke rewrite roll rotate route run sample save
    scale scan schedule search secure select send separate serialize serve set share show shrink sign simulate
    skip sort specify split stage start stash stop store submit subscribe summarize suppress suspend switch
    synchronize tag target terminate test trace track transfer transform translate trigger troubleshoot truncate
    tune undo uninstall unlock unmount unpack update upgrade upload use validate verify view visualize wait
    watch work wrap write"""
)
_NOUNS_TOO = _listed(
    """access back backup block build call change clean clear clone complete control copy count debug deploy
    display download drain drop embed empty estimate export filter filters fix force format group handle host
    import index join label limit limits link list load log mark match measure merge monitor mount move name
    open order output partition pass patch place plan plot print process profile pull push put query quote read
    record report request reserve reset restart return review roll route run sample scale scan schedule search
    secure select set share show sign sort split stage start stash stop store switch tag target test trace track
    transfer trigger update upgrade upload use view wait watch work write"""
)
_DOUBLED = _listed("get set run stop let put cut plan log map trim drop skip split submit swap tag begin")
_DETERMINERS = _listed("a an the your all any multiple one two several each every another more custom new")


def _gerund(verb: str) -> str:
    if verb in _DOUBLED:
        return f"{verb}{verb[-1]}ing"
    return f"{verb[:-1]}ing" if verb.endswith("e") and not verb.endswith("ee") else f"{verb}ing"


_GERUNDS = {_gerund(verb): verb for verb in sorted(_VERBS)}

# Words that point at something said elsewhere: what holds one cannot be asked on its own.
_POINTING = _listed(
    """it its itself this these those they them their such above below following preceding previous previously
    next latter former earlier later here there thereof hence otherwise example examples section page chapter
    document table figure step steps article tutorial guide task appendix aforementioned respectively same he
    she his her we us our another other others else instead also so i.e e.g etc"""
)
_THERE_IS = re.compile(r"^there (?:is|are|was|were) ")

GENERIC = _listed(
    """about action additional advanced all alternatives answer api appendix argument arguments attribute attributes
    background base basic basics behavior behaviour best block case cases change changes class classes code command
    commands common component components concept concepts conclusion config configuration considerations
    constant constants content contents context contribute contributing custom data default defaults definition
    definitions deprecated description design detail details directory discussion documentation element entries
    entry environment error errors event example examples exception exceptions faq feature features feedback
    field fields file files first flag flags following format formats function functions further general getting
    glossary goal goals history idea implementation index information input install installation instance
    instructions interface internals intro introduction issue issues item items key keys known language last
    learn limitation limitations list lists main message method methods miscellaneous mode model module modules
    more motivation name names new next note notes number object objects objective objectives operation
    operations option options order other output overview package parameter parameters part parts path pattern
    performance place policy practices prerequisite prerequisites problem procedure process program properties
    property purpose query question questions quick reading reason reference references related release remarks
    request requirement requirements resource resources response result results return returns rule rules sample
    scenario scope script second section security see service session set setting settings setup side solution
    source special spec specification standard start started state statement status step steps string summary
    support supported syntax synopsis system table task tasks terms test text thing things time tips title tool
    topic topics troubleshooting tutorial type types update updates usage use user value values variable
    variables verification version versions warning way ways what word work workflow"""
)
"""Words that name no topic by themselves."""

_QUESTION_WORDS = _listed(
    """a an the is are was were can't isn't aren't don't doesn't after be been do does did i my me we you
    your what which when where why how who whose to of
    in on at for if and or not some by with from as that can could should would will must may have has had there it so
    any not explain mean means meant happen happens term purpose way steps reason keep reading about then
    suppose list get back need want tell value values whether use used take takes into its"""
)


def words(text: str) -> list[str]:
    """Words and names, in order, without the punctuation at their ends.

    >>> words("Is `size_tokens` 3.5, really?")
    ['Is', 'size_tokens', '3.5', 'really']
    """
    return [word for word in (piece.strip(".,;:?!()[]{}<>\"'`“”*") for piece in text.split()) if word]


def is_name(word: str) -> bool:
    """Whether a word is spelled as no plain word is: an identifier, an option, a version, an acronym, CamelCase.

    >>> [word for word in "The kubelet reads --config and HTTPServer.port v1.2".split() if is_name(word)]
    ['--config', 'HTTPServer.port', 'v1.2']
    """
    return bool(
        re.search(r"[_\d=@\\$]|^-|\w[./:]\w|\w\(\)", word)
        or re.search(r"[a-z][A-Z]", word)
        or (len(word) > 1 and word.isupper() and word.casefold() not in _QUESTION_WORDS)
    )


def points_elsewhere(clause: str) -> bool:
    """Whether a clause leans on what was said before it, or speaks of the page that it stands on.

    >>> points_elsewhere("it is deleted"), points_elsewhere("a Pod that you delete is gone")
    (True, False)
    """
    found = [word.casefold() for word in words(_THERE_IS.sub("", clause.strip()))]
    return (
        not found
        or not _POINTING.isdisjoint(found)
        or found[-1] in ("that", "one")
        or "that" in (found[0], *found[-2:-1])
    )


def topic_words(text: str) -> list[str]:
    """The words of a text that name a topic.

    >>> topic_words("How do I restore the backup of a file?")
    ['restore', 'backup']
    """
    return [w for w in words(text) if is_name(w) or w.casefold() not in _QUESTION_WORDS | GENERIC]


def as_asker(clause: str) -> str:
    """A clause that speaks to the reader, as the reader says it.

    >>> as_asker("you delete your Pod"), as_asker("the tool allows you to wait"), as_asker("you are offline")
    ('I delete my Pod', 'the tool allows me to wait', 'I am offline')
    """
    verbs = "to|for|with|from|let|lets|allow|allows|enable|enables|help|helps|gives|give|of|by|require|requires|let's"
    clause = re.sub(rf"\b({verbs}) you\b(?! (?:are|have|can|do|must|need)\b)", r"\1 me", clause)
    clause = re.sub(r"\b[Yy]ou're\b|\b[Yy]ou are\b", "I am", clause)
    clause = re.sub(r"\bare you\b", "am I", clause)
    clause = re.sub(r"\b[Yy]ou've\b", "I have", re.sub(r"\b[Yy]ou'll\b", "I will", clause))
    for theirs, mine in (("yourself", "myself"), ("yours", "mine"), ("your", "my"), ("you", "I")):
        clause = re.sub(rf"\b{theirs}\b", mine, clause, flags=re.IGNORECASE)
    return clause


def lower_first(text: str) -> str:
    """The text as it stands inside a sentence: a plain first word without its capital.

    >>> lower_first("The kubelet"), lower_first("Kubernetes"), lower_first("HTTP requests")
    ('the kubelet', 'Kubernetes', 'HTTP requests')
    """
    first, _, rest = text.partition(" ")
    plain = first.casefold()
    if is_name(first):
        return text
    if plain in _VERBS or plain in _GERUNDS or plain in _QUESTION_WORDS or plain in _DETERMINERS or plain in GENERIC:
        return f"{plain} {rest}".strip()
    return text


def upper_first(text: str) -> str:
    """The text with a capital in front, unless it begins with a name."""
    first = text.split(" ", 1)[0]
    return text if is_name(first) or not first else text[0].upper() + text[1:]


def instruction(text: str) -> str:
    """What a heading or a purpose tells to do, as a verb phrase; "" when it is not an instruction.

    >>> instruction("Configuring your backups"), instruction("Access modes"), instruction("Access the cluster")
    ('configure your backups', '', 'access the cluster')
    """
    text = re.sub(r"^(?:how to|how do i|how do you|how can i|how can you|steps to|to) ", "", text.strip(), flags=re.I)
    first, _, rest = text.partition(" ")
    if not rest:
        return ""
    verb = first.casefold()
    next_word = rest.split()[0]
    if verb in _GERUNDS:
        rest = re.sub(r"\b(and|or) (\w+ing)\b", lambda m: f"{m[1]} {_GERUNDS.get(m[2].casefold(), m[2])}", rest)
        return f"{_GERUNDS[verb]} {rest}" if not re.search(r"\b(?:and|or) \w+ing\b", rest) else ""
    if verb not in _VERBS:
        return ""
    if verb in _NOUNS_TOO and not _is_object(next_word):
        return ""
    return f"{verb} {rest}"


_ADDRESSED = re.compile(
    r"(?:please|you (?:can|could|should|must|need|may|have to|might need|will need)|simply|just|first|make|do|try|"
    r"consider|see|refer|check|contact|ask|click|choose|go|enter|type|be|let)\b",
    re.IGNORECASE,
)


def is_imperative(clause: str) -> bool:
    """Whether a clause tells its reader what to do."""
    first = clause.split(" ", 1)[0].casefold().strip(",") if clause else ""
    following = clause.split(" ", 2)[1] if clause.count(" ") else ""
    told = first in _VERBS and (
        first not in _NOUNS_TOO or _is_object(following) or (clause[:1].islower() and following not in _AFTER_NOUN)
    )
    return told or bool(_ADDRESSED.match(clause))


_AFTER_NOUN = _listed("is are was has have does of to will can may must should cannot for in on from by and or")


def _is_object(word: str) -> bool:
    """Whether a word shows that the one before it, a verb and a noun, is a verb there."""
    return word.casefold() in _DETERMINERS or is_name(word)


def article(term: str) -> str:
    """The indefinite article in front of a term."""
    return "an" if re.match(r"[aeiou](?!ni|se|sa|ne)|[AEIOU][a-z]|[AEFHILMNORSX](?=[A-Z\d]*\b)", term) else "a"


# ---------------------------------------------------------------- the same in other words

_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "configure": ("set up",), "create": ("make",), "delete": ("remove", "get rid of"),
    "remove": ("delete", "get rid of"), "verify": ("check",), "enable": ("turn on", "switch on"),
    "disable": ("turn off", "switch off"), "retrieve": ("get",), "modify": ("change",), "execute": ("run",),
    "specify": ("give",), "determine": ("find out",), "prevent": ("stop",), "display": ("show",),
    "obtain": ("get",), "view": ("see", "look at"), "install": ("set up",), "restrict": ("limit",),
    "inspect": ("look at",), "launch": ("start",), "locate": ("find",), "customize": ("adapt",),
    "generate": ("produce",), "requires": ("needs",), "require": ("need",), "fails": ("goes wrong",),
    "exceeds": ("is more than",), "contains": ("has",), "multiple": ("several",), "attempt": ("try",),
    "attempts": ("tries",), "encounter": ("run into",), "omitted": ("left out",), "terminated": ("stopped",),
}  # fmt: skip
"""Words in whose place another one fits, whatever stands around them."""

_WORDINGS: Mapping[QuestionForm, tuple[str, ...]] = {
    "how": (
        "What is the way to {0}?",
        "I want to {0}. What do I have to do?",
        "What are the steps to {0}?",
        "What do I need to do to {0}?",
    ),
    "what-is": ("What is meant by {1}?", "Can you explain what {0} {2}?", "What does the term {1} mean?"),
    "happens": ("Suppose {1}. What happens then?", "What is the effect {0} {1}?", "What should I expect {0} {1}?"),
    "to-do": ("How do I proceed {0} {1}?", "Suppose {1}. What can I do?"),
    "why": ("What is the reason that {0}?", "How come {0}?"),
    "default": ("Which value does {0} have when I do not set it?", "What does {0} default to?"),
    "does": ("What is {0} for?", "What is the purpose of {0}?", "When would I need {0}?"),
    "means": ("How should I read {0}?", "What am I told by {0}?"),
    "returns": ("What do I get back from {0}?", "What is the return value of {0}?"),
    "raises": ("In which cases does {0} fail with {1}?", "What makes {0} raise {1}?"),
    "takes": ("Which parameters can I pass to {0}?", "What is the signature of {0}?"),
    "since": ("From which version on can I use {0}?", "How new does my version have to be for {0}?"),
    "before": ("What has to be done before {0}?", "What should be in place before {0}?"),
    "which": ("Can you list the {0} {1}?",),
    "free": (),
}


def reworded(asked: Asked, chooser: random.Random) -> str:
    """The same question in other words, by its form and with synonyms; "" when the form has no other wording."""
    wordings = _WORDINGS[asked.form]
    if not wordings:
        return ""
    parts = [_with_synonyms(part, chooser) for part in asked.parts]
    return _finished(chooser.choice(wordings).format(*parts))


def _with_synonyms(text: str, chooser: random.Random) -> str:
    pieces = text.split(" ")
    for at, piece in enumerate(pieces):
        following = pieces[at + 1] if at + 1 < len(pieces) else ""
        if piece in _SYNONYMS and not following.endswith("ing") and not (piece == "enable" and " to " in text):
            pieces[at] = chooser.choice(_SYNONYMS[piece])
            return " ".join(pieces)
    return text


def _finished(question: str) -> str:
    """Spaces put right, a capital in front, the article that its word wants."""
    return upper_first(" ".join(question.split()))


def keywords(question: str, more: Sequence[str] = (), limit: int = 6) -> str:
    """A question as it is typed into a search box; "" when fewer than two words are left.

    >>> keywords("How do I restore a backup of the database?")
    'restore backup database'
    """
    chosen: dict[str, str] = {}
    for word in [*words(question), *more]:
        plain = word.casefold()
        if is_name(word) or plain not in _QUESTION_WORDS:
            chosen.setdefault(plain, word if is_name(word) else plain)
    found = list(chosen.values())[:limit]
    return " ".join(found) if len(found) >= 2 else ""


_NEAR = {
    "a": "s", "b": "v", "c": "x", "d": "f", "e": "r", "f": "g", "g": "h", "h": "j", "i": "o", "j": "k", "k": "l",
    "l": "k", "m": "n", "n": "m", "o": "p", "p": "o", "q": "w", "r": "t", "s": "d", "t": "y", "u": "i", "v": "b",
    "w": "e", "x": "c", "y": "u", "z": "x",
}  # fmt: skip


def mistyped(question: str, chooser: random.Random) -> str:
    """The question with one slip in its longest plain word: letters swapped, left out, doubled or a key beside.

    Names are typed with care, so they stay. Returns "" when no plain word has six letters.
    """
    found = [m for m in re.finditer(r"(?<![\w./_-])[A-Za-z]{6,}(?![\w./_(-]*[\w(])", question) if not is_name(m[0])]
    if not found:
        return ""
    longest = max(found, key=lambda match: len(match[0]))
    word = longest[0]
    at = chooser.randrange(2, len(word) - 2)
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    slips = [
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
        word[:at] + _NEAR.get(word[at].lower(), "e") + word[at + 1 :],
        *([swapped] if swapped != word else []),
    ]
    slip = chooser.choice([one for one in slips if one != word])
    return question[: longest.start()] + slip + question[longest.end() :]
