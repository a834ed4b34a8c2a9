"""More patterns for `wordings`: what is over and under things, how far they are, what nobody can tell."""

from __future__ import annotations

_SIDED = (
    "(what|what|what|which <thing>|what <thing>) <is> <side> the ({one}|{one}|{many})",
    "<tell> (what|which <thing>) (is|you see|there is) <side> the {one}",
    "<can> (name|describe|identify|find|see) (what is|the <thing>|something) <side> the {one}",
    "(what|which <thing>) (can|could|do|did) you (see|find|spot|notice) <side> the {one}",
    "is there (something|anything) <side> the {one}, and what (is it|)",
    "<side> the {one}, what (is there|do you see|can be seen)",
    "the <thing> <side> the {one} is what",
    "(name|describe) what is <side> the {one}",
)


def _sided(words: str) -> tuple[str, ...]:
    return _put(_SIDED, "<side>", words)


def _put(patterns: tuple[str, ...], part: str, words: str) -> tuple[str, ...]:
    return tuple(each.replace(part, words) for each in patterns)


_MOST = (
    "(what|which <thing>|what <thing>) (is|is|stands|lies|appears) <most>",
    "<tell> (what|which <thing>) is <most>",
    "<can> (name|find|identify|tell me) (the <thing> that|what) is <most>",
    "(name|find|show me) the <thing> that is <most>",
    "(what|which) of (all|) the <things> is <most>",
    "the <thing> that is <most>",
)


def _most(words: str) -> tuple[str, ...]:
    return _put(_MOST, "<most>", words)


PATTERNS: dict[str, tuple[str, ...]] = {
    "above": _sided("(above|over|directly above|right above|just above|higher than|on top of and above)"),
    "below": _sided("(below|under|beneath|underneath|directly below|just below|right under|lower than)"),
    "on it": (
        "(what|who|which <thing>) (is|lies|sits|stands|is there|can be seen) on (top of|) the {one}",
        "(what|which <thing>) (do|did|can|could) you (see|find|notice|spot) on the {one}",
        "<tell> (what|who) (is|lies|sits|stands) on the {one}",
        "is (anything|something|anyone) on the {one}, and what",
        "<can> (name|see|tell me) what is on the {one}",
        "on the {one}, what (is there|do you see)",
        "what has been put on the {one}",
    ),
    "is on": (
        "(is|is) ({a}|the {one}) (lying|standing|placed|located|maybe|really|) on (top of|) the {other}",
        "<do> <see> {a} on the {other}",
        "<tell> <whether> ({a}|the {one}) is on the {other}",
        "does the {other} (have|carry|hold) {a} on it",
        "are there any {many} on the {other}",
    ),
    "more": (
        "<do> <see> (more than|at least|fewer than|exactly|) {number} {many}",
        "are there <maybe> (more than|at least|fewer than|exactly) {number} {many}",
        "<tell> <whether> there are (more than|at least|fewer than|exactly|) {number} {many}",
        "(does|did) <picture> <shows> (more than|at least|fewer than|exactly) {number} {many}",
        "(could|can) you (find|count|spot) (more than|at least|fewer than|exactly) {number} {many}",
    ),
    "count all": (
        "how many <things> (are visible|are shown|does <picture> show|did you find|could you see|do we have)",
        "how many <things> (can|could) you (find|count|spot|make out)",
        "<can> count (the|all|all the) <things>",
        "(the|total|what is the|tell me the|give me the) number of (all|the) <things>",
        "<tell> how many <things> (there are|you see)",
        "how many <things> in total",
    ),
    "smallest": _most("the (smallest|tiniest|littlest)"),
    "leftmost": (
        *_most("(furthest left|furthest to the left|most to the left|at the very left)"),
        "(what is|) the leftmost <thing>",
    ),
    "rightmost": (
        *_most("(furthest right|furthest to the right|most to the right|at the very right)"),
        "(what is|) the rightmost <thing>",
    ),
    "topmost": _most("(the highest|the topmost|highest up|furthest up|at the very top|uppermost)"),
    "lowest": _most("(the lowest|lowest down|furthest down|at the very bottom|the bottommost)"),
    "central": _most(
        "(nearest to the (center|middle)|closest to the (center|middle)|at the very center|most central)"
    ),
    "on side": (
        "(what|which <things>|what <things>) (is|are|is there|lies|stands|do you see|do you find) {side}",
        "(what|which <things>) (can|could|did) you (see|find|spot|notice|make out) {side}",
        "<tell> (what|which <things>) (is|are|you see) {side}",
        "(name|list|describe|enumerate) (what is|the <things>|everything|all <things>) {side}",
        "what does <picture> show {side}",
        "{side}, what (is there|do you see|can you see)",
    ),
    "side check": (
        "(is|is) (the {one}|{a}|any {one}) <maybe> {side}",
        "are (the|any|some) {many} <maybe> {side}",
        "(is there|<do> <see>|<can> <see>) ({a}|any {one}) {side}",
        "<tell> <whether> (the {one}|{a}) is {side}",
        "does <picture> show {a} {side}",
        "(is|are) there (any|some|) {many} {side}",
    ),
    "kinds of": (
        "(what|which|what kinds of|which kinds of) {group} (do|did|can|could) you (see|find|spot|notice)",
        "(what|which) {group} (are there|are visible|are shown|does <picture> <shows>)",
        "(name|list|enumerate|tell me) (all|the|all the|) {group} (you see|)",
        "<tell> (what|which) {group} (there are|you see)",
    ),
    "exists group": (
        "<do> <see> (any|some|) {group}",
        "<can> <see> (any {group}|a {groupone})",
        "(is there|are there) <maybe> (any|some) {group}",
        "<tell> <whether> there (is a {groupone}|are any {group})",
        "(does|did) <picture> <shows> (any {group}|a {groupone})",
        "is any {groupone} <shown>",
    ),
    "count group": (
        "how many {group} (do|did|could|would) you (see|find|count|spot)",
        "how many {group} (are visible|are shown|does <picture> show|can be seen)",
        "<can> count (the|all|all the) {group}",
        "(what is|tell me|give me|) the (total|) number of {group}",
        "<tell> how many {group} there are",
    ),
    "is inside": (
        "(is|was) <picture> (made|taken|shot) (indoors|inside|in a building|in a house)",
        "(is it|is this|are we|is that) (inside|indoors|inside a house|in a building|in a room)",
        "does (it|this|<picture>) (look like|show) an indoor (scene|place)",
        "<tell> <whether> (this|it) is (indoors|inside)",
    ),
    "is outside": (
        "(is|was) <picture> (made|taken|shot) (outdoors|outside|in the open air)",
        "(is it|is this|are we|is that) (outside|outdoors|out in the open)",
        "does (it|this|<picture>) (look like|show) an outdoor (scene|place)",
        "<tell> <whether> (this|it) is (outdoors|outside)",
    ),
    "scene": (
        "(what|which) (kind of|sort of|type of|) (place|room|scene|location) (is|might) (this|it) (be|)",
        "(what|which) (kind of|sort of|) (place|room|scene) (is shown|do you recognise|are we in|is it here)",
        "<tell> (what|which) (kind of|) (place|room|scene) this is",
        "(where|in which room) (was|is) <picture> taken",
        "(what|which) (place|room|scene) (does|is shown in) <picture> (show|)",
        "in (what|which) (kind of|) (room|place) are we",
    ),
    "near": (
        "is (the {one}|{a}) <maybe> (close|near|nearby|close by|quite close|rather near|very near|so close)",
        "is the {one} (very|really|quite|right|) (close to|near|in front of) (us|me|the camera|the lens)",
        "<tell> <whether> the {one} is (close|near|close to the camera|nearby)",
        "(does|would) the {one} (seem|look|be) (close|near|close to the camera)",
    ),
    "far": (
        "is (the {one}|{a}) <maybe> (far|far off|distant|in the distance|in the background|so far away)",
        "is the {one} (quite|really|rather|fairly|so) (far|far away|far off|distant)",
        "<tell> <whether> the {one} is (far|far away|distant)",
        "is the {one} (far from|a long way from) (us|me|the camera)",
        "(does|would) the {one} (seem|look|be) (far|far away|distant)",
    ),
    "doing": (
        "what (is|are) the {one} (doing here|up to|busy with|occupied with|engaged in)",
        "<tell> what the {one} (does|is up to|is lying on|is sitting on)",
        "what is the {one} (lying|placed|resting|sleeping|seated|perched) on",
        "what activity is the {one} (doing|engaged in)",
        "<can> (describe|say|tell me) what the {one} (is doing|does)",
        "how is the {one} (occupied|busy)",
    ),
    "text": (
        "(can|could|would) you (read|transcribe|spell out) (it|this|the sign|the words|the label)",
        "(read|transcribe|spell out|write down) (all|the|any) (writing|words|letters|numbers|labels|plates)",
        "what (is|are) the (text|words|letters|numbers|writing) (on|of) the (door|car|bus|shirt|wall|plate)",
        "what (does|do) the (text|label|paper|screen|plate|board|poster) (say|read)",
        "is (there|) (any|some) (writing|words|letters) (there|to read|)",
        "(read|what is) the (label|number|writing|sign|house number|registration) (out loud|)",
    ),
    "who": (
        "(tell me|say|please say) (who|what) (you|exactly you) (may be|could be)",
        "(who|what) (exactly|really|) are you (really|actually|called|)",
        "what (kind|sort|type) of (ai|assistant|program|system|thing|software) are you",
        "(which|what) (ai|program|assistant|version) (is this|are you|am i talking to)",
        "(what|who) am i talking to",
        "(do you have|what is) (a name|your full name)",
        "are you (gpt|qwen|claude|a human|a person|a program|real|a language model)",
    ),
    "able": (
        "what (can|could) you (find|detect|recognise|see for me|tell me)",
        "what (kinds of|sorts of|) (things|objects) (can|could|do) you (find|detect|recognise|identify|know)",
        "(which|what) (objects|classes|categories) (can you detect|do you support|are supported)",
        "(tell me|explain) (what you can do|what you know|how you work|what you recognise)",
        "what are (you|your) (good at|capable of|abilities|skills|features)",
        "(list|name|show) (your|all your) (abilities|skills|features|capabilities|classes)",
    ),
    "untold": (
        "is (it|he|she|the person|the man|the dog|the cat|anyone) (cold|warm|hot|tired|hungry|sad|old|young"
        "|asleep|awake|sick|alone|lost|dead|alive|dirty|clean|late|early|windy|snowing|dark|noisy|friendly)",
        "is the (door|window|gate|fridge|oven|box|book|curtain|drawer|light|lamp|tv|stove|tap|engine)"
        " (open|closed|shut|locked|broken|on|off|empty|full|new|running)",
        "(what|which) (day|month|time|hour|year|date|country|city|street|language|season) is (it|this|that)",
        "(why|when|how) (is|was|did|does) (the person|he|she|it|this|the dog) (there|here|come|go|happen)",
        "how (old|tall|heavy|fast|expensive|warm|cold|deep|loud) is (it|he|she|the person|the car|the dog)",
        "(what|who) (will|did|would|should) (the person|he|she|it|i|we) (do|say|want|buy|cook) (next|then|)",
        "(sing|tell|write|calculate|translate|draw|play) (me|us|) (a song|a story|a letter|this|music)",
        "what (does|is) (the person|he|she|the man|the woman) (feel|want|think|wearing|saying|eating)",
    ),
}
