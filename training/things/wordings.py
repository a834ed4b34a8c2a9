"""Ways to ask put together from parts: `(a|b)` is one of several, `<see>` one of the parts named here.

Each pattern stands for dozens or thousands of wordings, so that a model learns what matters in a question
instead of what stands around it. What comes out as a wording of `HELD` is drawn again.
"""

from __future__ import annotations

import random
import re

from training.things import more_wordings
from training.things.phrasing import ASKED, HELD

_COMPOSED = 0.55
"""Share of the questions that are put together where a kind has patterns."""
_CHOICE = re.compile(r"\(([^()]*)\)")
_ASKED_FOR = re.compile(r"(?:(?:any|some|at least one|one or more|the) )?\{(?:a|one|many)\}")
_PART = re.compile(r"<([a-z]+)>")
_PARTS = {
    "see": "(see|see|find|spot|notice|detect|make out|recognise|recognize|identify|discover|observe)",
    "seen": "(seen|found|spotted|noticed|detected|made out|recognised|identified|observed)",
    "can": "(can|could|would|will|can|could) you (please||possibly|perhaps|actually|really|maybe)",
    "do": "(do|did|do) you (|actually|really|also|perhaps|happen to|by any chance|possibly|still)",
    "maybe": "(||possibly|perhaps|actually|really|also|maybe|by any chance|still|indeed|already)",
    "some": "({a}|{a}|{a}|any {one}|any {many}|some {many}|at least one {one}|one or more {many}|{many})",
    "shown": "(visible|present|shown|pictured|depicted|seen|in sight|to be seen|to be found|in the shot)",
    "picture": "(the|this|that) (picture|image|photo|photograph|shot|snapshot|scene|frame|camera image)",
    "shows": "(show|contain|include|have|depict|feature|display)",
    "whether": "(if|whether)",
    "anyone": "(anyone|anybody|someone|somebody)",
    "color": "(color|colour)",
    "thing": "(thing|object|item)",
    "things": "(things|objects|items)",
    "big": "(largest|biggest)",
    "tell": (
        "(tell me|say|let me know|please tell me|i want to know|i wonder|i would like to know|do you know"
        "|can you tell me|could you tell me|would you tell me|can you say|could you say|please say|find out"
        "|are you able to tell me|i need to know|could you please tell me|just tell me|explain)"
    ),
    "is": (
        "(is|is|stands|lies|sits|appears|can be seen|can be found|can be spotted|is located|is placed"
        "|is positioned|is shown|is visible|is there|do you find|do you notice|do you spot|could you see"
        "|do you have|would you find|is standing|do we see|can we see)"
    ),
    "look": "(look|search|check|have a look|please look|please check|scan the picture)",
}
_BESIDE = (
    "(what|what|what|which object|which item|what object|what thing) <is> <side> the ({one}|{one}|{many})",
    "<tell> (what|which object|which thing) (is|stands|lies|you see) <side> the {one}",
    "(name|describe|identify) (what|the <thing> that) is <side> the {one}",
    "<can> (name|describe|identify|find) (what is|the <thing>) <side> the {one}",
    "who or what is <side> the {one}",
    "is there (something|anything) <side> the {one}, and what (is it|)",
    "what does the {one} have (on|to) its <hand>",
    "what (is|do you see) on the <hand> hand side of the {one}",
    "what is the <hand> neighbour of the {one}",
    "the <thing> <side> the {one} is what",
    "<side> the {one}, what (is there|do you see|can be seen)",
    "looking <hand> (from|of) the {one}, what (is there|do you see)",
    "seen from the {one}, what is (on|to) the <hand>",
)


def _beside(hand: str) -> tuple[str, ...]:
    side = (
        f"(to the {hand} of|{hand} of|on the {hand} of|on the {hand} side of|at the {hand} of|just {hand} of"
        f"|directly {hand} of|directly to the {hand} of|immediately to the {hand} of|further {hand} than"
        f"|right to the {hand} of|next to and {hand} of)"
    )
    return tuple(each.replace("<side>", side).replace("<hand>", hand) for each in _BESIDE)


PATTERNS: dict[str, tuple[str, ...]] = {
    "exists": (
        "<can> <see> <some>",
        "<can> <see> <some>",
        "<do> <see> <some>",
        "is there <maybe> ({a}|{a}|any {one}|at least one {one})",
        "are there <maybe> (any|some|) {many}",
        "(is {a}|is any {one}|are any {many}|are {many}) <maybe> <shown>",
        "can ({a}|any {many}|{many}|any {one}) <maybe> be <seen>",
        "(does|does|did) <picture> <maybe> <shows> <some>",
        "<tell> <whether> (there is|there is <maybe>) {a}",
        "<tell> <whether> there are (any|some|) {many}",
        "<tell> <whether> (you|you can|one can|we) <see> <some>",
        "(<tell>|check|see|verify|please check) <whether> ({a} is|any {many} are) <shown>",
        "<look> for <some>",
        "(have|haven't|had) you <maybe> (seen|spotted|noticed|found|detected) <some>",
        "(was|has been|is) {a} <maybe> <seen>",
        "(would|could) you say (that|) there is <maybe> {a}",
        "(is it possible|could it be|is it true|is it right|is it correct) that there is {a}",
        "is there (anything|something) (like|that looks like|such as) {a}",
        "does it look (like|as if) there is {a}",
        "({a}|any {many}|{many}) (there|anywhere|visible|in sight|in view|around|to be seen)",
        "do we <maybe> (have|see) <some>",
        "what about {a}",
        "could that be {a}",
        "am i right that there is {a}",
        "i am looking for {a}, is there one",
        "is there a sign of {a}",
    ),
    "anyone": (
        "<can> <see> <anyone>",
        "<do> <see> <anyone>",
        "is there <maybe> <anyone>",
        "is <anyone> <maybe> (there|present|here|around|in sight|to be seen|shown|standing there|pictured)",
        "<tell> <whether> (there is <anyone>|<anyone> is (there|visible)|you <see> <anyone>)",
        "can <anyone> be <seen>",
        "(does|did) <picture> <maybe> <shows> <anyone>",
        "(has|was|is) <anyone> (been seen|come|arrived|detected|waiting)",
        "have you <maybe> (seen|spotted|noticed) <anyone>",
        "<look> for <anyone>",
    ),
    "count": (
        "how many {many} (are there|are there <maybe>|exist|appear|do we have|are in there)",
        "how many {many} (can|do|did|would) you (see|count|spot|notice|detect|make out|identify|recognise)",
        "how many {many} are (present|visible|pictured|depicted|seen|in sight|to be seen|to be found)",
        "how many {many} (can be|were|have been) (seen|counted|found|detected|spotted)",
        "how many {many} (does|did) <picture> <shows>",
        "<tell> how many {many} (there are|you see|you can see|are there|can be seen|you count)",
        "<can> (count|count up) (the|all|all the|) {many}",
        "<can> (give|tell) me the (number|count|total) of {many}",
        "(give me|tell me|i need|state|report|what is|say) the (exact|total|) (number|count) of {many}",
        "count (all the|every one of the|the visible|up the) {many}",
        "(total|exact|overall) number of {many}",
        "what (amount|quantity) of {many} is there",
        "the number of {many}",
        "in total, how many {many} (are there|do you see)",
        "of {many}, how many (are there|do you see)",
    ),
    "where": (
        "where (exactly|about|roughly|approximately|actually|) (is|is|was) the {one}",
        "where (can|do|did|could) (you|we|i|one) (see|find|spot|notice|detect|make out) (the {one}|{a})",
        "where (is|was) the {one} (located|placed|positioned|to be found|shown|standing|situated|seen)",
        "where (are|were) the {many} (located|placed|positioned|to be found|shown|standing|situated|)",
        "<tell> where (the {one} is|the {many} are|i find the {one}|you see the {one}|{a} is)",
        "<can> (locate|point out|find me|show me) the {one}",
        "<can> (describe|name|give me|tell me) the (position|place|location) of the {one}",
        "in (which|what) (part|corner|area|region|half|section) (of <picture>|) is the {one}",
        "(what is|tell me|give me|describe|name) the (location|place|position|spot) of the {one}",
        "(which|what) (part|side|area|region) of <picture> (shows|contains|has|holds) the {one}",
        "(on|at) (which|what) (side|place|position|spot) (is|do you see) the {one}",
        "(the|) (location|place|whereabouts) of the {one}",
        "(please|) (locate|point to|show me|point out) the {one}",
        "whereabouts is the {one}",
        "the {one} is where",
        "where should (i|we|one) look for the {one}",
        "is the {one} left, right or in the middle",
    ),
    "colour": (
        "(what|which) <color> (does|did) the {one} (have|show)",
        "(what|which) <color> do the {many} have",
        "what <color> (would you say|do you think) (is the {one}|the {one} is)",
        "<tell> (what|which) <color> (the {one} (is|has)|the {many} are)",
        "<can> (name|describe|give me|tell me|say|find) the <color> of the {one}",
        "<can> tell me (what|which) <color> the {one} (is|has)",
        "in (what|which) <color> is the {one}",
        "what is the {one}'s <color>",
        "(name|give me|describe|state|say) the <color> of the {one}",
        "what (main|dominant|overall) <color> (has|does) the {one}",
        "the <color> of the ({one}|{many})",
        "(what|which) <color> (has|is) (this|that) {one}",
        "what <color> do you see on the {one}",
        "how is the {one} colored",
        "the {one} has (what|which) <color>",
        "what are the colors of the {many}",
        "(what|which) <color> are (all|) the {many}",
        "is the {one} red, blue or (green|another <color>|what)",
    ),
    "exists coloured": (
        "<can> <see> (a|any) {colour} {one}",
        "<do> <see> (a|any|some) {colour} {one}",
        "is there <maybe> a {colour} {one}",
        "is a {colour} {one} <shown>",
        "<tell> <whether> there is a {colour} {one}",
    ),
    "colour check": (
        "is the {one} (actually|mostly|mainly|indeed|perhaps) {colour}",
        "would you say (that|) the {one} is {colour}",
        "<tell> <whether> the {one} is {colour}",
        "(does|did) the {one} (have|show) a {colour} color",
    ),
    "left": _beside("left"),
    "right": _beside("right"),
    "largest": (
        "what is the (largest|biggest|most prominent|main|dominant) <thing>",
        "<tell> (what|which <thing>) is the <big>",
        "<tell> what the <big> <thing> is",
        "which <thing> (is|appears|looks|seems) (the|) <big>",
        "what (takes up|fills|covers|occupies|needs) the most (space|room|area|of <picture>)",
        "what (is|appears|looks) (the|) <big>",
        "<can> (name|identify|find|tell me|point out|describe) the <big> <thing>",
        "(find|identify|state|give me|show me) the <big> <thing>",
        "the <big> <thing> (is what|)",
        "of all <things>, (which|what) is the <big>",
        "what <thing> is <big>",
        "what is the <big> of (all|) the <things>",
        "what is <big>",
    ),
    "list": (
        "(list|name|enumerate|itemize) (all|all the|the|all of the|) <things> (you <see>|you can <see>)",
        "(list|name|enumerate) (the|all|all the|) (visible|present|recognisable|detected) <things>",
        "<can> (list|name|enumerate) (all|the|all the|all of the) <things>",
        "(give|make|write|show) me a list of (the|all|all the) <things>",
        "(what|which) <things> (do|did|can|could) you (see|detect|recognise|find|notice|identify|spot)",
        "(what|which) <things> are (visible|present|shown|depicted|pictured|to be seen|in there)",
        "(what|which) <things> can be <seen>",
        "(what|which) <things> does <picture> <shows>",
        "(tags|labels|keywords|a list of tags) (please|for <picture>|)",
        "(give|write) me (some|the|all) (tags|labels|keywords) for <picture>",
        "<tell> (what|which) <things> (there are|you see|are there)",
    ),
    "short": (
        "<can> (describe|summarize|summarise|caption|explain) <picture>",
        "(please|) (describe|summarize|summarise|caption|explain) <picture> (briefly|shortly|in short|)",
        "(please|) describe <picture> (in one sentence|in a few words|in a sentence|with few words)",
        "what (is|can be) (seen|found|pictured|depicted|shown|made out) (in|on) <picture>",
        "what (can|could|do|did) you (see|make out|recognise|notice|observe|find) (in|on) <picture>",
        "(give|write|make|create) (me|) a (short|brief|concise|quick|one-line) (description|caption|summary)"
        " (of|for) <picture>",
        "<can> (give|write) me a (short|brief|concise|quick) (description|caption|summary)",
        "in (one sentence|a few words|short|brief), (what is this|describe <picture>|what do you see)",
        "what (am i looking at|are we looking at|have we got here|do we have here|do you notice|do we see)",
        "<tell> what (this is|you notice|can be seen|you make out|<picture> shows|you see)",
        "<tell> what is (on|shown in|pictured in) <picture>",
        "(what|so what) is (on|in|pictured in|depicted in) (this|that) (photo|photograph|snapshot|shot)",
        "what (would|could|can) you say about <picture>",
        "what does (this|that) (photo|snapshot|frame|shot|image) (show|depict|contain)",
    ),
    "detailed": (
        "<can> describe <picture> (in|in full|in great|in more) (detail|depth)",
        "(please|) describe <picture> (thoroughly|carefully|precisely|in full detail|in depth|at length)",
        "(please|) describe <picture> in (two|three|several|a few|some|two or three) sentences",
        "(give|write|provide) (me|) a (detailed|long|full|thorough|precise|comprehensive)"
        " (description|caption|account|report) (of|for) <picture>",
        "<can> (give|write) me a (detailed|long|full|thorough) (description|caption|report)",
        "<tell> in detail what (you see|is there|<picture> shows)",
        "(tell me|describe|explain) everything (that you see|you can see|about <picture>|in <picture>)",
        "what (exactly|all) do you see, in (full|great|) detail",
        "(please|) be detailed: what (is in|does) <picture> (show|)",
    ),
    "title": (
        "(give|write|suggest|create|make up|invent|find|propose) (me|) a (short|good|fitting|brief|suitable|)"
        " (title|headline|heading) for <picture>",
        "<can> (give|suggest|write|think of|propose) a (short|good|fitting|) (title|headline) for <picture>",
        "what (title|headline) (would you give|fits|suits|would suit|goes with) <picture>",
        "how would you (title|headline) <picture>",
        "(title|headline|heading) (please|for <picture>|of <picture>)",
        "what could be the title of <picture>",
    ),
    "inside": (
        "<tell> <whether> (it|this) is (indoors or outdoors|inside or outside)",
        "(is|was) <picture> (taken|made|shot) (indoors or outdoors|inside or outside)",
        "does <picture> show an (indoor or an outdoor|indoor or outdoor) (scene|place)",
    ),
}
ALL_PATTERNS = {**PATTERNS, **more_wordings.PATTERNS}


def composed(kind: str, rng: random.Random) -> str:
    """One wording that a pattern of the kind stands for."""
    text = rng.choice(ALL_PATTERNS[kind])
    while "(" in text or "<" in text:
        text = _PART.sub(lambda found: _PARTS[found[1]], text)
        text = _CHOICE.sub(lambda found: rng.choice(found[1].split("|")), text)
    return " ".join(text.split())


def _bare(text: str) -> str:
    """The wording, whatever stands before what it asks for."""
    return _ASKED_FOR.sub("{}", text)


_HELD = {kind: frozenset(map(_bare, texts)) for kind, texts in HELD.items()}


def wording(kind: str, rng: random.Random, *, more: bool = False) -> str:
    """A way to ask that training may see; `more` takes the patterns of `more_wordings` too.

    What hailo-vision's model learns, and so its vocabulary, stays as it was without them.
    """
    if kind in (ALL_PATTERNS if more else PATTERNS) and rng.random() < _COMPOSED:
        text = composed(kind, rng)
        while _bare(text) in _HELD[kind]:
            text = composed(kind, rng)
        return text
    return rng.choice(ASKED[kind])


def beside_each_other() -> dict[str, set[str]]:
    """Words, and the words that stand in their place in some pattern."""
    found: dict[str, set[str]] = {}
    texts = [*_PARTS.values(), *(text for texts in ALL_PATTERNS.values() for text in texts)]
    for choice in (choice for text in texts for choice in _CHOICE.findall(text)):
        words = {word for word in choice.split("|") if word.isalpha()}
        for word in words:
            found.setdefault(word, set()).update(words - {word})
    return found
