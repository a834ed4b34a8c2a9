"""What is said without a picture: who the model is, what it knows, and what clients ask behind one's back."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from itertools import pairwise

from training.everyday.structured import NO_TITLE
from training.everyday.turns import Turn
from training.things.captions import capital
from training.things.kinds import KINDS, NUMBER_OF, SYNONYMS, plural_of
from training.things.phrasing import UNKNOWN_NOUNS

HELLO = "Hello! Send me a picture, and I will say what I see."
WHO = "I am a small embedded model. I know 80 kinds of everyday things. Please send me a picture."
KNOWN = f"I know {', '.join(kind.plural for kind in KINDS[:-1])} and {KINDS[-1].plural}."
LARGE = "A large model knows more: run hailo-ctl models fetch."
ONLY_PICTURES = "I can only say what is in a picture. Please send me one."
YES, NO = "Yes.", "No, I do not know that kind of thing."
FOLLOW_UPS = ("What do you see?", "How many things are there?", "What is on the left?")

_HELLO = (
    *(
        "Hi",
        "Hello",
        "Hello!",
        "Hey",
        "Hi there!",
        "Good morning",
        "hello",
        "hi",
        "Good evening!",
        "Hey there",
    ),
    *(
        "How are you?",
        "Thank you",
        "Thanks!",
        "OK",
        "Nice.",
        "Good bye",
        "Bye!",
        "test",
        "Test message",
        "ping",
    ),
    *("test from litellm", "Say this is a test", "Are you there?", "Hello, can you hear me?", "Good job!"),
)
_WHO = (
    *("Who are you?", "What are you?", "What is your name?", "Which model are you?", "Are you an AI?"),
    *("What can you do?", "Introduce yourself.", "What model is this?", "Are you ChatGPT?", "who are you"),
    *("Tell me about yourself.", "How can you help me?", "Help", "What is this?", "Who made you?", "help me"),
    *("Are you Qwen?", "Are you human?", "What are your skills?", "Explain what you are.", "what can you do"),
)
_KNOWN = (
    *("Which things do you know?", "What kinds of things do you know?", "List all things that you know."),
    *("Which objects can you recognize?", "What do you know?", "What can you see in pictures?"),
    *("Which 80 kinds of things do you know?", "Name the kinds that you know.", "What can you detect?"),
    *("Which objects do you know?", "What classes do you know?", "What things can you recognise?"),
)
_LARGE = (
    *("How do I get a better model?", "Is there a larger model?", "How can I install a larger model?"),
    *("You are not very good. What else is there?", "How do I get the large model?", "Can you learn more?"),
    *("How do I upgrade you?", "Which model knows more?", "How do I fetch a real model?"),
)
_OTHER = (
    *("What is the capital of France?", "Tell me a joke.", "What is 2 + 2?", "Write a poem about the sea."),
    *(
        "Translate good morning into German.",
        "What is the weather like?",
        "Turn on the light.",
        "Sing a song.",
    ),
    *(
        "Turn off the lights in the kitchen.",
        "What time is it?",
        "Set a timer for ten minutes.",
        "Play music.",
    ),
    *("Write a Python function.", "Summarize the news.", "What happened in 1989?", "Open the garage door."),
    *("Is the front door locked?", "Add milk to the shopping list.", "How old is the universe?", "Why?"),
    *("What is the temperature in the living room?", "Explain quantum physics.", "Lock the door.", "Go on."),
    *("Give me a recipe for soup.", "Write an email to my boss.", "Who won the match?", "Continue.", "More."),
    *("Set the heating to 21 degrees.", "Close the blinds.", "Which lights are on?", "Tell me a story."),
    *("Solve x + 3 = 5.", "Who is the president?", "What does this word mean?", "Correct my spelling."),
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _nonsense(rng: random.Random) -> str:
    words = ["".join(rng.choices(_LETTERS, k=rng.randint(1, 8))) for _ in range(rng.randint(1, 9))]
    return " ".join(words) + rng.choice(("", "?", ".", "!"))


def _knows(rng: random.Random) -> Turn:
    if rng.random() < 0.55:
        name = rng.choice(KINDS).name
        name = rng.choice((name, *SYNONYMS.get(name, ())))
        said = YES
    else:
        name, said = rng.choice(UNKNOWN_NOUNS), NO
    ask = rng.choice(
        ("Do you know {}?", "Can you recognize {}?", "Do you know what {} are?", "Can you see {}?")
    )
    return Turn("knows", ask.format(plural_of(name)), said)


def _fixed(kind: str, asked: Sequence[str], said: str) -> Callable[[random.Random], Turn]:
    return lambda rng: Turn(kind, rng.choice(asked), said)


def _other(rng: random.Random) -> Turn:
    return Turn("other", rng.choice(_OTHER) if rng.random() < 0.7 else _nonsense(rng), ONLY_PICTURES)


SMALL_TALK: dict[Callable[[random.Random], Turn], float] = {
    _fixed("hello", _HELLO, HELLO): 1.0,
    _fixed("who", _WHO, WHO): 1.3,
    _fixed("known", _KNOWN, KNOWN): 0.7,
    _fixed("large", _LARGE, LARGE): 0.5,
    _knows: 1.0,
    _other: 2.0,
}


def small_talk(rng: random.Random) -> Turn:
    """A text without a picture, answered with what the model is."""
    return rng.choices(list(SMALL_TALK), list(SMALL_TALK.values()))[0](rng)


def about_itself(rng: random.Random) -> Turn:
    """A question about the model, which is answered alike beside a picture."""
    return rng.choice([make for make in SMALL_TALK if make is not _other])(rng)


def kinds_in(text: str) -> list[int]:
    """The kinds that a text names, in its order, each once."""
    text = text.split(". ", maxsplit=1)[
        0
    ]  # the sentences after the first speak of the same things, in colours
    words = [word.strip(".,:;!?\"'()").lower() for word in text.split()]
    phrases = [*(" ".join(pair) for pair in pairwise(words)), *words]
    found = {name: kind for kind, name in enumerate(each.name for each in KINDS)}
    found |= {each.plural: kind for kind, each in enumerate(KINDS)}
    places: dict[int, int] = {}
    for phrase in phrases:
        if phrase in found:
            places.setdefault(found[phrase], text.lower().index(phrase))
    inner = {NUMBER_OF["dog"]: "hot dog", NUMBER_OF["bear"]: "teddy bear"}
    named = [kind for kind in places if inner.get(kind, "-") not in text.lower()]
    return sorted(named, key=lambda kind: places[kind])


def heading(text: str) -> str:
    """A title for a text: the first two things that it names."""
    names = [KINDS[kind].name for kind in kinds_in(text)[:2]]
    return capital(" and ".join(names)) if names else NO_TITLE


def tags(text: str) -> list[str]:
    """Tags for a text."""
    return [capital(KINDS[kind].name) for kind in kinds_in(text)[:3]] or ["General"]


_TITLE_ASKS = (
    "Create a title for this text: {}",
    "Write a short title for this text: {}",
    "Give this text a title: {}",
    "Summarize this text as a title of at most five words: {}",
    "Create a short and concise title for the following description: {}",
)
_TITLE_PROMPTS = (
    "Provide a short and concise event title based on the description. Avoid markdown and quotes.",
    "Write a title for the event. The title should be short. Use no special characters and no quotes.",
    "Your title should name the main thing, say in which part it is, and have at most six words.",
)


def title_of_text(text: str, rng: random.Random) -> Turn:
    """A title for a description that was made before, as clients for cameras ask for one."""
    ask = rng.choice(_TITLE_ASKS).format(text)
    if rng.random() < 0.6:
        ask = f"{rng.choice(_TITLE_PROMPTS)} {ask}"
    return Turn("title of text", ask, heading(text))


def title_lead(rng: random.Random) -> str:
    """The message that some clients send before."""
    return rng.choice(_TITLE_PROMPTS)


_RULES = (
    "The title should clearly show the main theme of the conversation.",
    "Use emojis that help to understand the topic, but no quotation marks.",
    "Write in the language of the chat; if there are several, use English.",
    "Accuracy is more important than creativity; keep it clear and simple.",
    "Your whole response must be the JSON object, without any text before or after it.",
    "The output must be one raw JSON object, without markdown code fences.",
    "Make sure that no explanation comes before or after the JSON, because it will be parsed.",
    "Start with broad domains such as science, art, politics or sport.",
    "Add specific subdomains only if they are important in the conversation.",
    "If the content is too short or too diverse, use only General.",
    "Write all questions from the user's point of view, directed to the assistant.",
    "Make questions concise and clear, and directly related to the topic.",
    "Suggest only follow-ups that make sense after this chat and do not repeat it.",
    "Respond only with the JSON array or object that is described below.",
    "If you are sure that no search is useful, return an empty list.",
    "Today's date is 2026-11-28.",
    "Be concise and focus on useful queries.",
    "Do not complete a text that is already whole.",
    "Continue naturally from where the user stopped.",
    "No extra text or formatting is allowed.",
)
TASKS: dict[str, tuple[str, str]] = {
    "title": ("Generate a concise, 3-5 word title with an emoji that summarizes the chat history.", "title"),
    "tags": ("Generate 1-3 broad tags that categorize the main themes of the chat history.", "tags"),
    "follow_ups": ("Suggest 3-5 follow-up questions or prompts that the user might ask next.", "follow_ups"),
    "queries": ("Analyze the chat history and decide whether search queries are needed.", "queries"),
    "text": ("You are an autocompletion system. Continue the text in <text> as the user would.", "text"),
    "prompt": ("Generate a detailed prompt for an image generation task from the chat history.", "prompt"),
}


def task(asked: str, said: str, rng: random.Random) -> Turn:
    """What a chat program asks in the background about a conversation of one question and its answer."""
    name = rng.choices(list(TASKS), (4, 3, 2, 1.5, 0.7, 0.5))[0]
    head, key = TASKS[name]
    values: dict[str, object] = {
        "title": heading(said),
        "tags": tags(said),
        "follow_ups": list(FOLLOW_UPS),
        "queries": [],
        "text": "",
        "prompt": "",
    }
    rules = "\n".join(f"- {rule}" for rule in rng.sample(_RULES, rng.randint(2, 9)))
    example = {"title": "your concise title here", "tags": ["tag1", "tag2", "tag3"]}.get(name, "...")
    listed = name in ("follow_ups", "queries")
    form = json.dumps({key: ["Question 1?", "Question 2?"] if listed else example})
    history = f"USER: {asked}\nASSISTANT: {said}"
    text = (
        f"### Task:\n{head}\n### Guidelines:\n{rules}\n### Output:\nJSON format: {form}\n"
        f"### Chat History:\n<chat_history>\n{history}\n</chat_history>"
    )
    return Turn(f"task {name}", text, json.dumps({key: values[name]}))
