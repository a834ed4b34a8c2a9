"""The language model: what an answer consists of, when it comes, and what it leaves behind."""

from __future__ import annotations

from tests.hailo_sim.chat import CIRCLE, END
from tests.hailo_sim.conftest import Make
from tests.hailo_sim.running import run
from tests.npu import Fault, Machine


def test_an_answer_and_what_it_leaves_in_the_context(machine: Machine, loaded: str) -> None:
    body = """
say([vlm.input_frame_shape(), str(vlm.input_frame_format_type()), vlm.input_frame_size(),
     vlm.input_frame_format_order().name, vlm.max_context_capacity(), vlm.get_stop_tokens()])
say(vlm.get_context_usage_size())
say(answer(ask(), [frame]))
say(vlm.get_context_usage_size())
say(len(vlm.tokenize("<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n"
    "<|im_start|>user\\n<|vision_start|><|image_pad|><|vision_end|>Describe the image.<|im_end|>\\n"
    "<|im_start|>assistant\\n")))
say(answer(ask("What colour is the circle?", 0), []))
vlm.clear_context()
say(vlm.get_context_usage_size())
say(answer(ask(), [frame]))
"""
    about, empty, (chunks, status), used, prompt, (follow_up, _), cleared, again = run(machine, loaded + body)
    assert about == [[128, 128, 3], "uint8", 49152, "NHWC", 2048, [END, "<|endoftext|>"]]
    assert empty == cleared == 0
    assert "".join(chunks) == CIRCLE
    assert status == "LOGICAL_END_OF_GENERATION"
    assert used == prompt + 63 + len(chunks), "the last token waits to be read, a picture takes 64"
    assert "red" in "".join(follow_up), "it remembers the picture"
    assert again == [chunks, status]


def test_a_replacement_character_ends_the_text_and_not_the_answer(machine: Machine, loaded: str) -> None:
    body = """
words = vlm._vlm.words
words.forget()
for text in ("A dot", "na\N{LATIN SMALL LETTER I WITH DIAERESIS}ve", "A \N{REPLACEMENT CHARACTER} dot"):
    say([text, "".join(words.chunk(token) for token in words.encode(text))])
say(words.chunk(words.encode("<|im_end|>")[0]))
"""
    plain, accented, (broken, said), end = run(machine, loaded + body)
    assert plain[0] == plain[1]
    assert accented[0] == accented[1]
    assert broken.startswith(said)
    assert "dot" not in said
    assert end == "", "the end of the answer is withheld, too"


def test_tokens_that_nobody_reads_are_lost_in_the_end(machines: Make, loaded: str) -> None:
    """The library keeps 1024 of them, for 120 s; here 3, for a moment."""
    slow = machines(speed={"token_s": 0.05, "queue_tokens": 1, "queue_s": 0.2})
    body = """
made = vlm.generate(ask(), [frame], max_generated_tokens=40)
said = [made.read()]
time.sleep(2.0)
said += [made.read(), made.read()]
say([said, made.generation_status.name, refused(lambda: made.read(300))[0][0]])
os._exit(0)
"""
    ((said, status, later),) = run(slow, loaded + body)
    assert said == ["A", " red", " circle"], "one was read after the pause, and one was in the queue"
    assert (status, later) == ("GENERATING", "HailoRTTimeout")


def test_the_seed_counts_as_with_the_c_library(machine: Machine) -> None:
    """`std::mt19937` and `std::discrete_distribution`, as the chip's server has them."""
    body = """
from hailo_chip.choosing import MersenneTwister
twister = MersenneTwister(5489)
for _ in range(9999):
    twister()
say(twister())
say(MersenneTwister(5489)())
low, high = (lambda twister: (twister(), twister()))(MersenneTwister(7))
draw = lambda share: MersenneTwister(7).draw(np.array([share, 1 - share]))
say([(low + high * 2**32) / 2**64, [draw(0.01), draw(0.99)]])
say(MersenneTwister(7).draw(np.array([1.0])))
"""
    last, first, (share, drawn), alone = run(machine, body)
    assert (last, first) == (4123659995, 3499211612), "the C++ standard names the first"
    assert drawn == [int(share > 0.01), int(share > 0.99)]
    assert alone == 0


def test_a_cut_answer_is_followed_by_the_recovery_sequence(machine: Machine, loaded: str) -> None:
    body = """
say(answer(ask(), [frame], max_generated_tokens=2))
vlm.clear_context()
say(answer(ask(), [frame], max_generated_tokens=5))
vlm.clear_context()
vlm.set_generation_recovery_sequence("")
say([vlm.get_generation_recovery_sequence(), answer(ask(), [frame], max_generated_tokens=2)])
vlm.clear_context()
vlm.set_stop_tokens([" red"])
say([vlm.get_stop_tokens(), answer(ask(), [frame])])
vlm.clear_context()
vlm.set_stop_tokens([])
say(answer(ask(), [frame], max_generated_tokens=9)[1])
"""
    cut, on_the_limit, (none, bare), (stops, stopped), endless = run(machine, loaded + body)
    assert cut == [["A", " red", END], "MAX_TOKENS_REACHED"]
    assert on_the_limit == [["A", " red", " circle", ".", END, END], "MAX_TOKENS_REACHED"]
    assert none == ""
    assert bare == [["A", " red"], "MAX_TOKENS_REACHED"]
    assert stops == [" red"]
    assert stopped == [["A", " red"], "LOGICAL_END_OF_GENERATION"]
    assert endless == "MAX_TOKENS_REACHED"


def test_reading_past_the_end_and_all_at_once(machine: Machine, loaded: str) -> None:
    body = """
made = vlm.generate(ask(), [frame])
say(made.read_all(10000))
say([made.generation_status.name, refused(made.read)[0][0], refused(lambda: next(made))[0][0]])
say(refused(lambda: made.read(-1))[0][0])
made.release()
made.release()
say(refused(lambda: made.generation_status)[0][0])
vlm.release()
vlm.release()
say(refused(vlm.clear_context)[0][0])
"""
    text, (status, late, end), negative, released, gone = run(machine, loaded + body)
    assert text == CIRCLE
    assert status == "LOGICAL_END_OF_GENERATION"
    assert late == "HailoRTInvalidOperationException"
    assert end == "StopIteration"
    assert negative == "TypeError"
    assert released == gone == "AttributeError"


def test_sampling_is_seeded_and_greedy_by_default(machine: Machine, loaded: str) -> None:
    body = """
def drawn(**how):
    made = answer(ask("Tell me something.", 0), [], max_generated_tokens=12, **how)[0]
    vlm.clear_context()
    return made
free = {"do_sample": True, "temperature": 5.0, "top_p": 1.0, "top_k": 100}
say([drawn(), drawn(do_sample=True), drawn(**free, seed=1), drawn(**free, seed=1), drawn(**free, seed=2)])
say(drawn(frequency_penalty=1.5) != drawn(frequency_penalty=1.0))
"""
    (greedy, one_candidate, first, same, other), _ = run(machine, loaded + body)
    assert greedy == one_candidate, "top_k is 1 unless it is set"
    assert first == same
    assert first != other


def test_a_slow_chip_and_an_early_release(machines: Make, loaded: str) -> None:
    machine = machines(speed={"prefill_s": 0.6, "token_s": 0.3})
    body = """
made = vlm.generate(ask(), [frame])
say(refused(lambda: made.read(50))[0][0])
first = made.read(10000)
say([first, made.generation_status.name])
before = time.monotonic()
made.release()
say(time.monotonic() - before)
say(vlm.get_context_usage_size() > 64)
vlm.clear_context()
say(answer(ask(), [frame])[0])
"""
    timeout, (first, status), waited, dirty, again = run(machine, loaded + body)
    assert timeout == "HailoRTTimeout"
    assert [first, status] == ["A", "GENERATING"]
    assert waited > 0.1, "the token in flight is waited for"
    assert dirty
    assert "".join(again) == CIRCLE


def test_failures_on_the_chip_lose_their_status(machine: Machine, loaded: str) -> None:
    machine.inject(
        Fault("prefill", "status", status=71),
        Fault("token", "status", status=4),
        Fault("token", "lost", at=6),
    )
    body = """
kept = []
for frames in ([frame], [], []):
    made = vlm.generate(ask("Hello", len(frames)), frames)
    seen = []
    error = refused(lambda: seen.extend(iter(lambda: made.read(), None)))
    release = (lambda: kept.append(made)) if refused(vlm.get_context_usage_size) else made.release
    say([len(seen), error[0][0], (refused(release) or [["None"]])[0][0]])
    vlm.frames = None
    if frames:
        vlm.release()
        vlm = VLM(held, %s)
    else:
        say((refused(vlm.clear_context) or [["None"]])[0][0])
say(refused(vlm.get_context_usage_size)[0][0])
vlm.release()
held.release()
os._exit(0)
"""
    hef = loaded.partition("VLM(held, ")[2].partition(")")[0]
    prefill, token, alive, lost, dead, later = run(machine, loaded + body % hef)
    kind = "HailoRTInvalidOperationException"
    assert prefill == [0, kind, "None"]
    assert token == [1, kind, "None"]
    assert alive == "None"
    assert lost[1] == kind
    assert dead == later == "HailoCommunicationClosedException"


def test_a_chip_that_stalls_times_out_and_gives_up_in_the_end(machines: Make, loaded: str) -> None:
    machine = machines(speed={"give_up_s": 1.0})
    machine.inject(Fault("token", "stall", seconds=0.4), Fault("token", "stall", seconds=9, at=2))
    body = """
made = vlm.generate(ask(), [frame])
say(made.read())
say([refused(lambda: made.read(50))[0][0], made.read()])
say([refused(lambda: made.read(50))[0][0], refused(made.read)[0][0], refused(made.read)[0][0]])
made.release()
say(refused(vlm.clear_context))
"""
    first, late, given_up, after = run(machine, loaded + body)
    assert first == "A"
    assert late == ["HailoRTTimeout", " red"]
    failed = "HailoRTInvalidOperationException"
    assert given_up == ["HailoRTTimeout", failed, failed]
    assert after is None
